#!/bin/sh
# Checks what the environment says, for HAProxy takes some nonsense without a word and never names the variable; looks
# whether there is IPv6; and becomes HAProxy, with the haproxy.cfg beside this file.
set -eu

refuse() { # VARIABLE WHAT-IT-TAKES
    eval "echo \"error: $1 is '\${$1}', and takes $2\"" >&2
    exit 1
}

check() { # VARIABLE PATTERN WHAT-IT-TAKES; one that is not set has its default in haproxy.cfg
    eval "[ -n \"\${$1+set}\" ] || return 0; value=\$$1"
    if printf '%s\n' "$value" | grep -Evqx "$2"; then refuse "$1" "$3"; fi
}

number() { # VARIABLE HIGHEST
    check "$1" '[1-9][0-9]{0,6}' "a number from 1 to $2"
    eval "[ \"\${$1-1}\" -le $2 ]" || refuse "$1" "a number from 1 to $2"
}

check TARGET_SERVER '[A-Za-z0-9_][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*\.?|[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*' \
    'a host name or an address, without scheme and port'
check PROXY_PROTOCOL 'v1|v2|off' 'v1, v2 or off'
number TARGET_HTTP_PORT 65535
number TARGET_HTTPS_PORT 65535
number MAXCONN 1000000
number NBTHREAD 64
files=$(ulimit -Hn)
if [ "$files" != unlimited ] && [ $((2 * ${MAXCONN-1} + 100)) -gt "$files" ]; then
    refuse MAXCONN "at most $((files / 2 - 50)) here, as this container may have $files files open"
fi
for variable in TIMEOUT_CONNECT TIMEOUT_IDLE; do
    check $variable '[1-9][0-9]{0,5}(ms|s)|[1-9][0-9]{0,3}m|[1-9][0-9]?h|([1-9]|1[0-9]|2[0-4])d' \
        'a time such as 500ms, 5s, 2m or 24h, and less than 25 days'
done
check RESOLVER 'resolv\.conf|.+:[1-9][0-9]{0,4}' 'a DNS server as ADDRESS:PORT'
check SOCKET_BUFFER '0|[1-9][0-9]{3,8}' 'a number of bytes from 1000 on, or 0 for the kernel to choose'

# The kernel has this file only with IPv6, and no line in it where that is switched off.
if ! { read -r _ </proc/net/if_inet6; } 2>/dev/null; then
    export HTTP_BIND="${HTTP_BIND-:8080}" HTTPS_BIND="${HTTPS_BIND-:8443}" HEALTH_BIND="${HEALTH_BIND-:8404}"
fi

# An address is one target; a name may have several addresses.
case ${TARGET_SERVER-name} in
*:*) export TARGET_COUNT=1 ;;
*[!0-9.]*) ;;
*) export TARGET_COUNT=1 ;;
esac

exec haproxy -db -f "$(dirname "$0")/haproxy.cfg" "$@"
