"""The store on a Kubernetes API server: custom resources, watched and written as raw JSON, models inside."""
