"""The lives of GPUHosts that are KubeVirt clusters, and of VMs on them: tables of their own, run by the same engine.

The cluster's scheduler chooses the node and its kubelet the GPUs. Nothing is bound here, nobody claims a GPU before a guest
said which one it got, and no step pretends otherwise.
"""
