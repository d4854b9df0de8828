#!/usr/bin/env bash
# Boots a systemd in namespaces of its own, as their first process, on a copy of this machine's files that is thrown
# away. It has etcdlet's units and one more, which runs DIRECTORY/session and ends it all.
#
#   unshare --mount tests/install/boot.sh DIRECTORY
#
# DIRECTORY holds etcdlet, etcd, etcdctl, etcdlet.yaml and session. There is output, what the session printed, log,
# what etcdlet did, and console, what systemd did.
set -euo pipefail
here=$(realpath "$1")
units=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../../deploy/systemd")

if [[ ${2:-} != inside ]]; then
    mount --make-rprivate /
    mkdir "$here/groups"
    mount -t cgroup2 cgroup2 "$here/groups"
    # The new systemd takes the control group that it is in for the root of all.
    group="$here/groups$(sed -n 's/^0:://p' /proc/self/cgroup)/etcdlet-boot-$$"
    mkdir "$group"
    status=0
    # shellcheck disable=SC2016 # for the inner shell
    timeout --kill-after=5 120 bash -c 'echo $$ >"$1/cgroup.procs" && exec unshare --mount --pid --fork --kill-child \
        --cgroup --uts --ipc --net "$2" "$3" inside' bash "$group" "${BASH_SOURCE[0]}" "$here" || status=$?
    # What was killed may be there for a moment yet.
    for _ in {1..50}; do
        if find "$group" -depth -type d -exec rmdir {} + 2>/dev/null; then break; fi
        sleep 0.1
    done
    exit "$status"
fi

ip link set lo up
mkdir "$here/layers"
mount -t tmpfs tmpfs "$here/layers"
mkdir "$here/layers/"{upper,work,root}
root="$here/layers/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$here/layers/upper,workdir=$here/layers/work" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
while read -r name major minor; do mknod -m 666 "$root/dev/$name" c "$major" "$minor"; done <<'DEVICES'
null 1 3
zero 1 5
full 1 7
random 1 8
urandom 1 9
tty 5 0
ptmx 5 2
DEVICES
mkdir "$root/dev/"{pts,shm,mqueue,hugepages}
touch "$root/dev/console" "$here/console"
mount --bind "$here/console" "$root/dev/console"
mkdir -p "$root/session"
mount --bind "$here" "$root/session"

rm -rf "$root/etc/systemd/system" "$root/etc/etcdlet"
mkdir -p "$root/etc/systemd/system" "$root/etc/etcdlet"
install -m 0755 "$here/etcdlet" "$root/usr/bin/etcdlet"
install -m 0644 "$units/"*.service "$units/"*.socket "$root/etc/systemd/system/"
systemd-sysusers --root="$root" "$units/etcdlet.sysusers"
group=$(awk -F: '$1 == "etcdlet" { print $3 }' "$root/etc/group")
chmod 0750 "$root/etc/etcdlet"
install -m 0640 "$here/etcdlet.yaml" "$root/etc/etcdlet/"
chown -R "0:$group" "$root/etc/etcdlet"

# Nothing else of the machine is started: no basic.target, no journal.
for unit in etcdlet.service etcdlet.socket; do
    mkdir "$root/etc/systemd/system/$unit.d"
    printf '[Unit]\nDefaultDependencies=no\n' >"$root/etc/systemd/system/$unit.d/alone.conf"
done
printf '[Service]\nStandardOutput=append:/session/log\nStandardError=append:/session/log\n' \
    >>"$root/etc/systemd/system/etcdlet.service.d/alone.conf"
cat >"$root/etc/systemd/system/session.service" <<'UNIT'
[Unit]
DefaultDependencies=no
SuccessAction=exit
FailureAction=exit
[Service]
Type=oneshot
ExecStart=/bin/bash /session/session
StandardOutput=append:/session/output
StandardError=append:/session/output
UNIT

mkdir "$root/outside"
cd "$root"
pivot_root . outside
umount -l /outside
exec /usr/bin/env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system \
    --unit=session.service --log-target=console --show-status=no
