#!/usr/bin/env python3
"""Writes inventories/vagrant.yml from what `vagrant ssh-config` says of the machines that are up.

The host keys are those that the machines show now, on a network of this machine: pinned from here on.
"""

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
INVENTORY = HERE.parent / "inventories" / "vagrant.yml"
HEADER = "# Made by vagrant/inventory.py from `vagrant ssh-config`.\n"


def parse(ssh_config: str) -> dict[str, dict[str, str]]:
    """Each host's settings by name; of a setting said twice the first holds, as ssh takes it."""
    hosts: dict[str, dict[str, str]] = {}
    settings: dict[str, str] = {}
    for line in ssh_config.splitlines():
        word, _, value = line.strip().partition(" ")
        if word == "Host":
            settings = hosts.setdefault(value, {})
        elif word:
            settings.setdefault(word, value.strip('"'))
    return hosts


def inventory(hosts: dict[str, dict[str, str]], host_keys: dict[str, str]) -> str:
    """The inventory's text: hosts in turns in one of two datacenters, values written as JSON writes them."""
    groups: dict[str, list[str]] = {"dc1": [], "dc2": []}
    lines = ["all:", "  vars:", "    cube_cluster: vagrant", "  hosts:"]
    for number, (name, settings) in enumerate(hosts.items()):
        groups[f"dc{number % 2 + 1}"].append(name)
        variables = {
            "ansible_host": settings["HostName"],
            "ansible_port": int(settings["Port"]),
            "ansible_user": settings["User"],
            "ansible_ssh_private_key_file": settings["IdentityFile"],
            "cube_host_key": host_keys[name],
        }
        lines += [f"    {name}:", *(f"      {key}: {json.dumps(value)}" for key, value in variables.items())]
    lines.append("  children:")
    for group, names in groups.items():
        lines += [f"    {group}:", f"      vars: {{cube_datacenter: {group}}}"]
        lines.append(f"      hosts: {{{', '.join(f'{name}: null' for name in names)}}}")
    return HEADER + "\n".join(lines) + "\n"


def host_key(settings: dict[str, str]) -> str:
    """The ed25519 key that the machine shows, as `ssh-ed25519 AAAA...`."""
    shown = run("ssh-keyscan", "-t", "ed25519", "-p", settings["Port"], settings["HostName"])
    for line in shown.splitlines():
        if not line.startswith("#"):
            return line.split(" ", 1)[1]
    sys.exit(f"vagrant/inventory.py: {settings['HostName']}:{settings['Port']} shows no ed25519 host key")


def run(*command: str) -> str:
    """What the command prints; it is run in this folder. Ends the script where the command fails."""
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)  # noqa: S603 - fixed words
    if done.returncode:
        sys.exit(f"vagrant/inventory.py: {command[0]} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def main() -> None:
    """Ask Vagrant, ask the machines, write the file."""
    hosts = parse(run("vagrant", "ssh-config"))
    INVENTORY.write_text(inventory(hosts, {name: host_key(settings) for name, settings in hosts.items()}))
    sys.stdout.write(f"{INVENTORY}: {', '.join(hosts)}\n")


if __name__ == "__main__":
    main()
