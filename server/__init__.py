"""What a controller shows over HTTP: its metrics, whether it lives, whether it is ready.

    endpoint   HTTP: three paths, with limits          health    alive? ready?
    service    puts them together for one process      metrics   what Prometheus reads <── loop, steps, store calls, fleet

Beside cli/, above provisioner/: nothing below imports this room, which is told what happens through lifecycle.measures,
lifecycle.progress and store.counted. `prometheus_client` is imported here and nowhere else.
"""
