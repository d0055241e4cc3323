# Read by fetch.sh and prerequisites.sh: how system packages are installed, by root on Debian and Ubuntu.
# shellcheck shell=sh

# apt_install LOG PACKAGE...: what apt-get says goes to LOG, its exit code is ours. A line of debconf in $preseed answers a question
# of the packages. While somebody else installs (a fresh machine's first upgrade, a fetch beside this one), it waits: for ten
# minutes, since apt-get can wait for dpkg's lock by itself, but not for the one of its lists, and debconf for none.
apt_install() {
    apt_log=$1
    shift
    apt_tries=120
    until apt_once "$@" >"$apt_log" 2>&1; do
        apt_tries=$((apt_tries - 1))
        grep -qE 'Could not get lock|Unable to (acquire|lock)|locked by another process|another process using it' "$apt_log" || return 1
        [ "$apt_tries" -gt 0 ] || return 1
        sleep 5
    done
}

apt_once() {
    if [ -n "${preseed:-}" ]; then
        echo "$preseed" | debconf-set-selections || return
    fi
    apt-get update -q -o Acquire::Retries=3 || return
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends -o Acquire::Retries=3 -o DPkg::Lock::Timeout=600 "$@"
}
