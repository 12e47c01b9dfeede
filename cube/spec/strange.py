"""What to tell those who write the keys of Compose, Kubernetes or Nomad."""

_NEVER = "a task that could ask for it could take over the node"
_MIGRATION = "write a group of 'type: batch', and 'depends_on: {GROUP: completed}' in those that wait for it"
_DISPATCH = "write 'type: parameterized' and 'parameters: {required: [...], optional: [...]}'"
_SCHEDULE = "write 'type: periodic' and 'schedule: {cron: ..., timezone: ...}'"
STRANGE = {
    **dict.fromkeys(("privileged", "security_opt", "sysctls", "cgroup_parent"), _NEVER),
    **dict.fromkeys(("network", "network_mode", "pid", "ipc", "userns_mode"), _NEVER),
    **dict.fromkeys(("cron", "crons", "periodic"), _SCHEDULE),
    **dict.fromkeys(("time_zone", "timeZone"), "write 'timezone'"),
    **dict.fromkeys(("concurrencyPolicy", "overlap"), "write 'prohibit_overlap'"),
    "activeDeadlineSeconds": "write 'deadline'",
    **dict.fromkeys(("parameterized", "dispatch", "meta_required", "meta_optional"), _DISPATCH),
    **dict.fromkeys(("initContainers", "lifecycle", "prestart"), _MIGRATION),
    "environment": "write 'env'",
    **dict.fromkeys(("replicas", "instances", "scale"), "write 'count'"),
    "args": "write 'command'",
    "cpus": "write 'cpu'",
    "mem_limit": "write 'memory'",
    "deploy": "its keys stand in the group itself: count, update, restart, constraints",
    **dict.fromkeys(("placement", "nodeSelector"), "write 'constraints'"),
    **dict.fromkeys(("platform", "platforms", "arch"), "write 'architecture: arm64'"),
    "affinity": "write 'constraints' or 'affinities'",
    **dict.fromkeys(("topologySpreadConstraints", "spreads"), "write 'spread'"),
    "max_replicas_per_node": "write 'max_per_node'",
    **dict.fromkeys(("healthcheck", "livenessProbe", "readinessProbe", "startupProbe"), "write 'health'"),
    "httpGet": "write 'http: /path' and 'port'",
    "tcpSocket": "write 'tcp: true' and 'port'",
    "test": "write 'exec: [program, argument]'",
    "periodSeconds": "write 'interval'",
    "timeoutSeconds": "write 'timeout'",
    **dict.fromkeys(("retries", "failureThreshold"), "write 'failures'"),
    "successThreshold": "write 'successes'",
    **dict.fromkeys(("start_period", "initialDelaySeconds"), "write 'grace'"),
    **dict.fromkeys(("restart_policy", "restartPolicy", "backoffLimit"), "write 'restart: {attempts: ...}'"),
    "max_attempts": "write 'attempts'",
    **dict.fromkeys(("strategy", "update_config", "rollingUpdate", "rollout"), "write 'update'"),
    **dict.fromkeys(("parallelism", "maxUnavailable", "maxSurge", "stagger"), "write 'max_parallel'"),
    "monitor": "write 'min_healthy_time'",
    **dict.fromkeys(
        ("rollback", "rollback_config", "failure_action"), "write 'auto_revert: true' in 'update'"
    ),
    "canaries": "write 'canary'",
    **dict.fromkeys(
        ("disconnect", "max_client_disconnect", "stop_after_client_disconnect"),
        "write 'on_disconnect: replace' or 'keep', and 'lost_after'",
    ),
    **dict.fromkeys(
        ("stop_signal", "stop_grace_period", "kill_signal", "kill_timeout"),
        "write 'stop: {signal: ..., grace: ...}'",
    ),
    "pids_limit": "write 'pids'",
    **dict.fromkeys(("all_at_once", "gang"), "write 'all_or_nothing: true'"),
    "tasks": "write 'groups'",
    "services": "write 'groups'",
    "name": "write 'job'",
}
