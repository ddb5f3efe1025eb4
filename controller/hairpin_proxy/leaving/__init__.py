"""Leaving without a trace: the way out of a cluster's DNS.

installation   which objects deploy.yml makes, and what their states say about an uninstall (pure)
holds          the finalizer that keeps our rights alive until the Corefile is restored
uninstall      the controller takes its rules out when it is being uninstalled, and only then
cleanup        the same from outside, where no controller can do it
node           the same question for the DaemonSet, whose lines are in each node's hosts file
"""
