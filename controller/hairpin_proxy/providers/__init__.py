"""Where a document is kept: reading it, and writing it back.

corefile_key  the Corefile in one key of a ConfigMap
hosts_file    a node's hosts file
in_place      a file that is overwritten, never replaced
"""

from hairpin_proxy.providers.corefile_key import CorefileKey, Document
from hairpin_proxy.providers.hosts_file import HostsFile

__all__ = ["CorefileKey", "Document", "HostsFile"]
