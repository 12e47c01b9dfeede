#!/bin/sh
cat <<'JSON'
{"web": {"hosts": ["w1", "w2"], "vars": {"tier": "web", "n": 1}},
 "db": ["d1"],
 "site": {"children": ["web", "db"], "vars": {"tier": "site", "only": true}},
 "_meta": {"hostvars": {"w1": {"ansible_host": "10.0.0.1", "tier": "host"}, "d1": {"x": [1, {"y": null}]}}}}
JSON
