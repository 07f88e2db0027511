#!/bin/sh
# Makes the Debian in the root directory given as $1 (empty: this system) the base image: the user that templates name,
# the settings a command finds, and nothing that only a package manager needs. Both ways of building run this.
set -eu
root=${1:-}

# Written by hand, because the smallest Debian has no useradd.
echo 'user:x:1000:1000::/home/user:/bin/bash' >> "$root/etc/passwd"
echo 'user:x:1000:' >> "$root/etc/group"
echo 'user:*:19000:0:99999:7:::' >> "$root/etc/shadow"
mkdir -p "$root/home/user"
cp -a "$root/etc/skel/." "$root/home/user/"
chown -R 1000:1000 "$root/home/user"
chmod 700 "$root/home/user"

# Published clients of other sandboxes call the same user `sandbox`. One home for both: it is what a sandbox may write.
echo 'sandbox:x:1000:1000::/home/sandbox:/bin/bash' >> "$root/etc/passwd"
ln -s user "$root/home/sandbox"

# Commands in a sandbox inherit no environment; this is what login shells and PAM-aware programs read.
cat > "$root/etc/environment" <<'END'
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LANG=C.UTF-8
END

rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/* "$root"/var/log/* "$root"/tmp/* "$root"/var/tmp/*
rm -rf "$root"/usr/share/doc/* "$root"/usr/share/man/* "$root"/usr/share/info/* "$root"/usr/share/locale/*
rm -f "$root"/etc/machine-id "$root"/var/lib/dbus/machine-id
# In an engine's build these two are mounts of its own.
if [ -n "$root" ]; then rm -f "$root"/etc/resolv.conf "$root"/etc/hostname; fi
find "$root/usr/lib/python3" "$root/usr/lib/python3."* -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
