"""All that the doctor can say. docs/troubleshooting.md is written from here. Pure."""

from collections.abc import Mapping
from typing import NamedTuple

from hairpin_proxy.doctor.findings import Status, Text


class Section(NamedTuple):
    """One check."""

    title: str
    about: str
    """What it looks at."""


SECTIONS: Mapping[str, Section] = {
    "need": Section(
        "Do you need us?",
        "Whether pods are short-cut past the load balancer at all: by the status of the ingress controller's Service of "
        "type LoadBalancer (KEP-1860), and by what its controller answers to a connection without the PROXY header.",
    ),
    "rights": Section(
        "Rights",
        "Each API call that the controller makes, by an access review for its ServiceAccount, or for itself when this "
        "runs in its pod.",
    ),
    "coredns": Section(
        "CoreDNS's configuration",
        "Which ConfigMap and key CoreDNS reads, how that was found, who manages it, and whether CoreDNS reads changes.",
    ),
    "rules": Section(
        "Our rules",
        "Whether each host that may have a rule has one, and what keeps rules from working: a longer zone, a rule of an "
        "administrator, another install.",
    ),
    "live": Section(
        "What CoreDNS really runs",
        "Whether each CoreDNS has read the Corefile as it is, and has not refused it: by its answers, and by the metrics "
        "of its reload plugin.",
    ),
    "dns": Section(
        "DNS",
        "What each CoreDNS, and node-local-dns where there is one, answers for the hosts that have a rule: for all of "
        "them, or for a sample of 50.",
    ),
    "haproxy": Section("HAProxy", "The Service that the rules lead to, its ready pods, their restarts, their version."),
    "target": Section(
        "Target",
        "What `TARGET_SERVER` names, by the Deployment's environment: whether it resolves, accepts, and speaks PROXY. "
        "That is told by what it answers to a connection with the header, and to one without.",
    ),
    "end-to-end": Section("End to end", "An HTTP request to one of the hosts, through the Service and HAProxy."),
    "hosts": Section("Hosts left out", "Hosts that an object asks for and that get no rule, with the reason."),
}
"""By the names of the checks, in the order of the way."""

_READ_ANEW = "kubectl -n {namespace} rollout restart {workload}"

# ---- any check

NOT_INSTALLED = Text(
    "",
    "Not installed", Status.SKIPPED, "hairpin-proxy is not installed in namespace {namespace}",
    "if this cluster needs it: kubectl apply -f deploy.yml; an install elsewhere is named by --install-namespace",
)  # fmt: skip
CANNOT_SEE = Text(
    "",
    "It cannot be seen", Status.UNKNOWN, "it cannot be seen: {problem}",
    "run this with rights that suffice, or again when the API server answers",
)  # fmt: skip
NOT_FROM_THE_POD = Text(
    "",
    "Not with the controller's rights", Status.SKIPPED, "not with the controller's rights, which are no wider: {what}",
    "run `hairpin-proxy doctor` from your own machine, with your own rights",
)  # fmt: skip
NOT_FROM_HERE = Text(
    "",
    "Not from here", Status.SKIPPED, "pods cannot be reached from here",
    "kubectl -n {namespace} exec deployment/hairpin-proxy-controller -- hairpin-proxy doctor",
)  # fmt: skip
FOLLOWS = Text("", "Follows from another check", Status.SKIPPED, "not looked at before [{check}] is mended")

NODES_ONLY = Text(
    "",
    "Only the nodes are served",
    Status.SKIPPED,
    "the controller does not run here: DaemonSet {namespace}/hairpin-proxy-etchosts-controller keeps the nodes' hosts files alone",
)
FAULT = Text(
    "", "A fault in the doctor", Status.UNKNOWN, "a fault in hairpin-proxy: {problem}", "please report it, with what this says",
)  # fmt: skip

# ---- need

NEEDED = Text(
    "need",
    "Needed",
    Status.OK,
    "Service {service} has the address {address}, past which kube-proxy short-cuts what pods send",
)
DEMANDS = Text("need", "It demands PROXY", Status.OK, "its controller answers nothing without the PROXY header")
NOT_NEEDED = Text(
    "need",
    "This cluster does not need hairpin-proxy", Status.FAIL,
    "Service {service} has {why}, so pods reach its load balancer, which adds the PROXY header: hairpin-proxy is not needed",
    "{fix}",
    more="kube-proxy short-cuts an address in a Service's status only if its `ipMode` is `VIP` or not given (KEP-1860), and "
    "never a host name. Where a cloud sets `ipMode: Proxy`, every detour is one too many. An uninstall takes the rules out first.",
)  # fmt: skip
PERHAPS_NOT_NEEDED = Text(
    "need",
    "This cluster may not need hairpin-proxy", Status.WARN,
    "Service {service} has {why}, which is not short-cut; nothing tells whether it is an ingress controller's",
    "if it is, hairpin-proxy is not needed: {fix}",
)  # fmt: skip
NO_BALANCER = Text(
    "need",
    "No load balancer to be seen", Status.WARN,
    "there is no Service of type LoadBalancer with port 80 or 443 and an address, so nothing shows that pods are short-cut",
    "compare, from a pod, `curl http://HOST/` with `curl --haproxy-protocol http://HOST/`: only if the first one ends in an "
    "empty reply and the second does not is hairpin-proxy needed",
)  # fmt: skip
DEMANDS_NOTHING = Text(
    "need",
    "The ingress controller demands no PROXY header", Status.WARN,
    "Service {service} answers connections without the PROXY header too, so pods may reach it without hairpin-proxy",
    "switch the PROXY protocol on in the ingress controller, if its load balancer adds the header; otherwise hairpin-proxy "
    "is not needed",
)  # fmt: skip

# ---- rights

RIGHTS = Text(
    "rights", "All rights", Status.OK, "{account} may make each of the {count} calls that the controller makes"
)
RIGHT_MISSING = Text(
    "rights",
    "A right is missing", Status.FAIL, "{account} may not {calls}", "{command}",
    more="`deploy.yml` gives exactly the calls that are made with the default settings in a kubeadm cluster. Another "
    "ConfigMap than `coredns` and `coredns-custom` in `kube-system` takes one more rule; the command has it.",
)  # fmt: skip
WATCH_MISSING = Text(
    "rights",
    "The right to watch is missing", Status.WARN, "{account} may not {calls}: each poll lists all objects anew",
    "kubectl apply -f deploy.yml",
)  # fmt: skip
REVIEW_REFUSED = Text(
    "rights",
    "Rights cannot be reviewed", Status.UNKNOWN, "it cannot be seen what {account} may do: {problem}",
    "run this as somebody who may create subjectaccessreviews, or in the controller's pod: kubectl -n {namespace} exec "
    "deployment/hairpin-proxy-controller -- hairpin-proxy doctor",
)  # fmt: skip

# ---- coredns

CONFIGURATION = Text("coredns", "CoreDNS's configuration", Status.OK, "{where}; {size} of {limit} bytes")
NO_CONFIGURATION = Text(
    "coredns",
    "CoreDNS's configuration cannot be read", Status.FAIL, "{problem}",
    "--configmap NAMESPACE/NAME and --configmap-key KEY say which one CoreDNS reads, as variables of the controller: kubectl "
    "-n {namespace} set env deployment/hairpin-proxy-controller CONFIGMAP=NAMESPACE/NAME",
)  # fmt: skip
CONFIGURATION_REMARK = Text(
    "coredns",
    "Something to know of CoreDNS's configuration", Status.WARN, "{remark}", "the message says what helps",
)  # fmt: skip
NO_RELOAD = Text(
    "coredns",
    "CoreDNS reads no change", Status.FAIL,
    "{corefile}: no server block has the reload plugin, so CoreDNS reads no change until it is restarted",
    "add a line `reload` to the server block for '.', then: " + _READ_ANEW,
)  # fmt: skip
NOT_UPDATED = Text(
    "coredns",
    "CoreDNS sees no change", Status.FAIL,
    "{reader} mounts its Corefile by subPath, which kubelet never updates",
    "mount the whole ConfigMap; until then after each change: " + _READ_ANEW,
)  # fmt: skip
MANAGED = Text(
    "coredns",
    "Somebody else manages this ConfigMap", Status.WARN,
    "{corefile}: {manager}", "if rules that were written vanish again, do what the message says",
)  # fmt: skip
NEARLY_FULL = Text(
    "coredns",
    "The ConfigMap is nearly full", Status.WARN,
    "{key} has {size} of the {limit} bytes that there are for it; hosts beyond that are left out",
    "--rules packed (RULES=packed) takes the least room; or take hosts out by --allow-domain, --deny-domain or an annotation",
)  # fmt: skip

# ---- rules

RULES = Text("rules", "All rules are there", Status.OK, "{count} of {wanted} hosts are led to us by {document}")
NO_HOSTS = Text(
    "rules",
    "No host asks for a rule",
    Status.OK,
    "no object asks for a host that may be redirected, so there is no rule",
)
RULES_MISSING = Text(
    "rules",
    "Rules are missing", Status.FAIL, "no rule for {hosts} in {document}{writer}",
    "what the controller did last is in its log: kubectl -n {namespace} logs deployment/hairpin-proxy-controller",
    more="Either the controller does not run or cannot write, which its log says, or somebody puts the document back: a "
    "distribution, Helm, GitOps. The message names who wrote it last.",
)  # fmt: skip
RULES_COME = Text(
    "rules",
    "Rules come with the next write", Status.WARN,
    "no rule for {hosts} yet: the last write was {age:.0f} seconds ago, and the next one comes at least {gap:g} after it",
    "run this again in a minute",
)  # fmt: skip
RULES_WAIT = Text(
    "rules",
    "Rules wait for HAProxy", Status.WARN, "no rule for {hosts}: no new host is led to where nobody answers",
    "see [haproxy]",
)  # fmt: skip
DRY_RUN = Text(
    "rules",
    "The controller writes nothing", Status.WARN, "no rule for {hosts}, for DRY_RUN is set",
    "kubectl -n {namespace} set env deployment/hairpin-proxy-controller DRY_RUN-",
)  # fmt: skip
RULES_REFUSED = Text(
    "rules",
    "No rule can be written", Status.FAIL, "{problem}", "{fix}",
    more="Nothing is written where CoreDNS would refuse it, or where every host would be NXDOMAIN.",
)  # fmt: skip
RULES_STALE = Text(
    "rules",
    "Rules of hosts that nobody asks for", Status.WARN, "a rule for {hosts}, and no object asks for that (any more)",
    "the controller takes them out; if it does not: kubectl -n {namespace} logs deployment/hairpin-proxy-controller",
)  # fmt: skip
RULES_HIDDEN = Text(
    "rules",
    "Something else answers first", Status.FAIL, "{remark}",
    "lead these hosts to {destination} there by a rule of your own, or take out what stands in the way; if it is "
    "meant to answer, leave the host out by the annotation hairpin-proxy/ignore: \"true\" on its object",
)  # fmt: skip
RULES_REMARK = Text(
    "rules",
    "Something may keep rules from working", Status.WARN, "{remark}", "the message says which line it is",
)  # fmt: skip
RULES_ORPHANED = Text(
    "rules",
    "Rules lead to a Service that is gone", Status.FAIL,
    "{document} has rules with our tag that lead to {destination}, which CoreDNS cannot answer: their hosts are NXDOMAIN",
    "kubectl -n {namespace} set env deployment/hairpin-proxy-controller ADOPT_DESTINATION={destination}",
)  # fmt: skip
OTHER_INSTALL = Text(
    "rules",
    "Another install has rules too",
    Status.OK,
    "another install's rules lead to {destination}, and are left alone",
)
CONTROLLER_MISSING = Text(
    "rules",
    "The controller is missing", Status.FAIL, "there is no Deployment {namespace}/hairpin-proxy-controller, so rules do not follow "
    "what objects ask for", "kubectl apply -f deploy.yml",
)  # fmt: skip
SETTINGS_REFUSED = Text(
    "rules",
    "The controller refuses its settings", Status.FAIL, "{problem}: the controller does not start with that, and all that is said "
    "here is by the defaults", "give it another value, or take it away: kubectl -n {namespace} set env deployment/hairpin-proxy-controller NAME-",
)  # fmt: skip
CONTROLLER_DOWN = Text(
    "rules",
    "The controller does not run", Status.FAIL, "Deployment {name} {why}, so rules do not follow what objects ask for",
    "kubectl -n {namespace} get pods; if it was scaled down: kubectl -n {namespace} scale "
    "deployment/hairpin-proxy-controller --replicas=1",
)  # fmt: skip

# ---- live

LIVE = Text("live", "CoreDNS runs the Corefile", Status.OK, "CoreDNS at {servers} runs the Corefile as it is")
NO_COREDNS = Text(
    "live",
    "No CoreDNS to ask", Status.FAIL, "{problem}", "kubectl -n {namespace} get pods -l k8s-app=kube-dns",
)  # fmt: skip
MUTE = Text(
    "live",
    "CoreDNS gives no answer", Status.FAIL, "CoreDNS at {server} gives no answer",
    "kubectl -n {namespace} get pods -l k8s-app=kube-dns -o wide; a NetworkPolicy may stand in the way too",
)  # fmt: skip
REFUSED = Text(
    "live",
    "CoreDNS refuses the Corefile", Status.FAIL,
    "CoreDNS at {server} has read the Corefile and refused it ({failures} reloads failed since it started), so it goes on "
    "with the one before; started anew, it would not come up{why}",
    "mend the line that its log names: kubectl -n {namespace} logs -l k8s-app=kube-dns | grep -i corefile",
)  # fmt: skip
NOT_ARRIVED = Text(
    "live",
    "An edit has not arrived yet", Status.FAIL,
    "CoreDNS at {server} does not know the Corefile of {age} yet, with a rule for {hosts}",
    "wait: kubelet and CoreDNS take up to two and a half minutes (deploy-nudge-coredns.yml makes it less)",
)  # fmt: skip
NOT_TAKEN = Text(
    "live",
    "An edit does not arrive", Status.FAIL,
    "CoreDNS at {server} does not know the Corefile of {age}, with a rule for {hosts}, though two and a half "
    "minutes are enough",
    "kubectl -n {namespace} logs -l k8s-app=kube-dns | grep -i corefile; if that says nothing: " + _READ_ANEW,
)  # fmt: skip
BEHIND = Text(
    "live",
    "CoreDNS has not read the last change yet", Status.WARN,
    "CoreDNS at {server} has not read the Corefile of {age}; what it answers for our hosts is right",
    "wait two and a half minutes; if it stays so: kubectl -n {namespace} logs -l k8s-app=kube-dns | grep -i corefile",
)  # fmt: skip
DIFFERENT = Text(
    "live",
    "CoreDNS's pods run different Corefiles", Status.WARN, "CoreDNS at {servers} last read different Corefiles",
    "wait two and a half minutes; if it stays so: " + _READ_ANEW,
)  # fmt: skip
FAILED_BEFORE = Text(
    "live",
    "CoreDNS has refused a Corefile before", Status.WARN,
    "CoreDNS at {server} answers as the rules say, and {failures} of its reloads failed since it started",
    "if the last one was among them, it would not come up again: kubectl -n {namespace} logs -l k8s-app=kube-dns | grep -i "
    "corefile",
)  # fmt: skip

# ---- dns

ANSWERS = Text("dns", "DNS answers", Status.OK, "CoreDNS at {servers} answers {hosts} with {destination}")
NO_RULES_TO_ASK = Text(
    "dns", "No rule to ask for", Status.SKIPPED, "there is no host with a rule that could be asked for"
)
WRONG_ANSWERS = Text(
    "dns",
    "CoreDNS answers something else", Status.FAIL,
    "CoreDNS at {server} answers {hosts} with {answer}, and not with {destination}",
    "a plugin that answers before rewrite does, or a CoreDNS that reads another Corefile, may do that: look at the Corefile that "
    "[coredns] names, and at the pod with that address",
)  # fmt: skip
DESTINATION_UNKNOWN = Text(
    "dns",
    "CoreDNS does not know where the rules lead", Status.FAIL,
    "CoreDNS at {servers} has no address for {destination}, so every host with a rule is NXDOMAIN",
    "nslookup {destination} from a pod; the kubernetes plugin of the Corefile has to serve that domain and that namespace",
)  # fmt: skip
NODE_LOCAL_DNS = Text(
    "dns",
    "node-local-dns is in the way", Status.FAIL,
    "node-local-dns {where} answers {hosts} itself, with {answer}, so pods never come to CoreDNS's rules",
    "{fix}",
    more="node-local-dns sends only the cluster's own domain to CoreDNS, and everything else to the servers upstream. A server "
    "block for the parent domain of your hosts that forwards to CoreDNS cures it. `--node-local-dns on` keeps such blocks "
    "(experimental; docs/node-local-dns.md).",
)  # fmt: skip
NODE_LOCAL_ANSWERS = Text(
    "dns", "node-local-dns answers", Status.OK, "node-local-dns {where} answers {hosts} with {destination}"
)
NODE_LOCAL_MAYBE = Text(
    "dns",
    "node-local-dns cannot be asked", Status.WARN, "node-local-dns {where} can neither be asked from here, nor may its Corefile be read",
    "ask it from a pod: nslookup {host}",
)  # fmt: skip

# ---- haproxy

HAPROXY = Text("haproxy", "HAProxy is ready", Status.OK, "{ready} behind Service {service}")
NO_SERVICE = Text(
    "haproxy",
    "HAProxy's Service is missing", Status.FAIL, "there is no Service {service}, to which the rules lead: {hosts} are NXDOMAIN",
    "name another by DESTINATION, or put it back: kubectl apply -f deploy.yml",
)  # fmt: skip
NO_ENDPOINT = Text(
    "haproxy",
    "HAProxy has no ready pod", Status.FAIL, "Service {service} has no ready endpoint{why}", "{command}",
)  # fmt: skip
ELSEWHERE = Text(
    "haproxy",
    "The rules lead to no Service",
    Status.SKIPPED,
    "the rules lead to {destination}, which is no Service of this cluster",
)
RESTARTS = Text(
    "haproxy",
    "HAProxy restarts", Status.WARN, "pod {pod} was restarted {count} times, the last time for {reason}",
    "kubectl -n {namespace} logs {pod} --previous; OOMKilled: lower MAXCONN or raise the memory limit (docs/data-plane.md)",
)  # fmt: skip
ROLLOUT_STUCK = Text(
    "haproxy",
    "A roll-out is stuck", Status.WARN,
    "Deployment {name} has {ready} of {wanted} new pods ready, and old ones serve with their old settings",
    "look at the logs of the new ones, and at: kubectl -n {namespace} describe pods -l app=hairpin-proxy-haproxy",
)  # fmt: skip
SKEW = Text(
    "haproxy",
    "HAProxy and the controller have different versions", Status.WARN, "HAProxy's image is {haproxy}, the controller's {controller}",
    "apply one deploy.yml whole",
)  # fmt: skip

# ---- target

TARGET = Text("target", "The target speaks PROXY", Status.OK, "TARGET_SERVER {target} resolves, accepts, and {speaks}")
TARGET_UNKNOWN = Text(
    "target",
    "The target is not known", Status.UNKNOWN, "it cannot be seen what TARGET_SERVER is: {problem}",
    "run `hairpin-proxy doctor` from your own machine, with your own rights",
)  # fmt: skip
TARGET_UNRESOLVED = Text(
    "target",
    "The target does not resolve", Status.FAIL, "TARGET_SERVER {target} has no address: {why}", "{fix}",
    more="It takes the full name of a Service: HAProxy asks DNS for just this name, without search domains.",
)  # fmt: skip
TARGET_EMPTY = Text(
    "target",
    "Nobody is behind the target", Status.FAIL, "TARGET_SERVER {target} is a Service without a ready endpoint", "{fix}",
)  # fmt: skip
TARGET_REFUSES = Text(
    "target",
    "The target cannot be reached", Status.FAIL, "TARGET_SERVER {target} does not accept on port {port}: {why}", "{fix}",
    more="`TARGET_HTTP_PORT` and `TARGET_HTTPS_PORT` are the ports of the Service, not those of its pods. A NetworkPolicy of the "
    "ingress controller may refuse namespace hairpin-proxy as well.",
)  # fmt: skip
TARGET_REFUSES_ONE = Text(
    "target",
    "The target refuses one port", Status.WARN, "TARGET_SERVER {target} does not accept on port {port}: {why}",
    "if it serves that port elsewhere: kubectl -n {namespace} set env deployment/hairpin-proxy-haproxy {variable}=PORT",
)  # fmt: skip
TARGET_SPEAKS_NO_PROXY = Text(
    "target",
    "The target does not speak PROXY", Status.FAIL,
    "TARGET_SERVER {target} answers a connection on port {port} without the PROXY header, and one with it {answer}", "{fix}",
    more="Either this is not the Service that the load balancer leads to, or its program is not told to expect the header: "
    "`use-proxy-protocol` in ingress-nginx's ConfigMap, `proxyProtocol.trustedIPs` in Traefik, for example.",
)  # fmt: skip
TARGET_GETS_NO_PROXY = Text(
    "target",
    "The target demands PROXY and gets none", Status.FAIL,
    "TARGET_SERVER {target} answers on port {port} only with the PROXY header, and PROXY_PROTOCOL is off",
    "kubectl -n {namespace} set env deployment/hairpin-proxy-haproxy PROXY_PROTOCOL=v1",
)  # fmt: skip
TARGET_SAYS_NOTHING = Text(
    "target",
    "The target gives no answer", Status.FAIL,
    "TARGET_SERVER {target} accepts on port {port}, and answers neither with the PROXY header ({with_header}) nor without ({without})", "{fix}",
)  # fmt: skip

# ---- end-to-end

ARRIVES = Text(
    "end-to-end",
    "Requests arrive",
    Status.OK,
    "a request for {host} through {through} is answered with {status}",
)
ARRIVES_BADLY = Text(
    "end-to-end",
    "Requests arrive, and fail there", Status.WARN, "a request for {host} through {through} is answered with {status}",
    "that is an answer of the ingress controller or of what is behind it: look at the host's own pods and its Ingress",
)  # fmt: skip
LOST = Text(
    "end-to-end",
    "Requests get lost", Status.FAIL, "a request for {host} through {through} gets no answer: {why}",
    "kubectl -n {namespace} logs -l app=hairpin-proxy-haproxy --tail=20; a NetworkPolicy may stand in the way",
)  # fmt: skip
BAD_REQUEST = Text(
    "end-to-end",
    "Requests are not understood", Status.FAIL,
    "a request for {host} through {through} is answered with HTTP status 400: what answers does not understand the PROXY header",
    "see [target]; HAProxy's pods may still have older settings: kubectl -n {namespace} rollout status "
    "deployment/hairpin-proxy-haproxy",
)  # fmt: skip
NO_HOST = Text("end-to-end", "No host to ask for", Status.SKIPPED, "no object asks for a host that could be asked for")

# ---- hosts

NONE_LEFT_OUT = Text("hosts", "No host is left out", Status.OK, "no host is left out{calm}")
LEFT_OUT = Text(
    "hosts",
    "A host is left out", Status.WARN, "{remark}",
    "change what the reason says; an annotation hairpin-proxy/ignore: \"true\" on the object makes it a choice",
)  # fmt: skip
MORE_LEFT_OUT = Text(
    "hosts",
    "More hosts are left out", Status.WARN, "{count} more hosts are left out",
    "the controller's log names each one; so does `hairpin-proxy render --explain`",
)  # fmt: skip


def all_texts() -> dict[str, Text]:
    """By the names of their constants."""
    return {name: value for name, value in globals().items() if isinstance(value, Text)}
