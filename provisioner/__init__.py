"""From a spec to a verified GPU VM: model, planning, lifecycle, and the edges to hypervisors, guests and stores."""
