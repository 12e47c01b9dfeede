#!/bin/sh
# Records what Ansible makes of every case: `record.sh PATH-OF-ansible-inventory`. Run it when a case is added.
cd "$(dirname "$0")" || exit 1
for file in *.yml *.ini static.json hosts fleet dynamic.sh vars/hosts.yml; do
    (
        cd "$(dirname "$file")" && name=$(basename "$file")
        cd / && "$1" -i "$OLDPWD/$name" --list >"$OLDPWD/$name.list.json" 2>/tmp/record.err || cat /tmp/record.err
        "$1" -i "$OLDPWD/$name" --graph >"$OLDPWD/$name.graph" 2>/tmp/record.err || cat /tmp/record.err
    )
done
