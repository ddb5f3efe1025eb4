"""Where rules are kept: reading it, and writing it back.

corefile       rules in the Corefile, or in a key that it imports
reader         CoreDNS's configuration as it is now
node_caches    node-local-dns's Corefile, which may need blocks that lead to CoreDNS
place          where CoreDNS reads its Corefile
configmap      a ConfigMap, read whole and written by the key
hosts_file     lines in a node's hosts file
in_place       a file that is overwritten, never replaced
"""
