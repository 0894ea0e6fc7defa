"""The table of commands: every name, its line of help, and the function that does it. Importing it imports no command."""

from __future__ import annotations

from cli.lazy import Branch, Leaf

VM = Branch(
    "GPU virtual machines",
    {
        "create": Leaf("cli.vm.create:create", "Create a GPU VM and wait until it has proven its GPUs"),
        "list": Leaf("cli.vm.list:list_machines", "List VMs"),
        "show": Leaf("cli.vm.show:show", "Show one VM: where it is, its GPUs, its conditions"),
        "start": Leaf("cli.vm.power:start", "Start a VM"),
        "stop": Leaf("cli.vm.power:stop", "Stop a VM; its disk and its name stay"),
        "restart": Leaf("cli.vm.power:restart", "Restart a VM; changes of its spec take effect"),
        "delete": Leaf("cli.vm.delete:delete", "Delete VMs and give their GPUs back"),
        "ssh": Leaf("cli.vm.ssh:ssh", "Log in to a VM, or run one command in it"),
        "console": Leaf("cli.vm.console:console", "Attach to the serial console: look and type"),
        "logs": Leaf("cli.vm.logs:logs", "Print what the VM's console said last"),
    },
)

GPU = Branch(
    "GPUs: what is free, the VMs that use them, in and out of service",
    {
        "vm": VM,
        "offers": Leaf("cli.offers:offers", "Show which GPUs can be had now"),
        "list": Leaf("cli.gpu.list:list_gpus", "List every GPU with its state, its owner and its health"),
        "show": Leaf("cli.gpu.show:show", "Show one GPU: group, drivers, identity, findings, history"),
        "history": Leaf("cli.gpu.history:history", "Show who had a GPU, and how it was cleaned afterwards"),
        "quarantine": Leaf("cli.gpu.quarantine:quarantine", "Take a GPU out of service until it passes a check"),
        "release": Leaf("cli.gpu.release:release", "Let a GPU out of quarantine, if it passes its check"),
        "retire": Leaf("cli.gpu.retire:retire", "Never hand a GPU out again"),
    },
)

HOST = Branch(
    "GPU hosts: the hypervisors that VMs run on",
    {
        "add": Leaf("cli.host.add:add", "Add a host by its libvirt URI, and show its GPUs"),
        "adopt": Leaf("cli.host.adopt:adopt", "Rebuild VMs from a host's domains, after the store was lost"),
        "list": Leaf("cli.host.list:list_hosts", "List hosts and how many of their GPUs are free"),
        "show": Leaf("cli.host.list:show", "Show one host: GPUs, groups, drivers, pools, networks"),
        "doctor": Leaf("cli.host.doctor:doctor", "Check hosts and GPUs for passthrough, and say what to do"),
        "cordon": Leaf("cli.host.change:cordon", "Place no new VM on a host"),
        "uncordon": Leaf("cli.host.change:uncordon", "Let VMs be placed on a host again"),
        "remove": Leaf("cli.host.change:remove", "Forget a host that nothing lives on"),
    },
)

IMAGE = Branch(
    "Golden images that VMs boot from",
    {
        "list": Leaf("cli.image:list_images", "List images, built in and added"),
        "add": Leaf("cli.image:add", "Add an image by its URL"),
        "fetch": Leaf("cli.image:fetch", "Download an image now, checked by its SHA-256"),
        "remove": Leaf("cli.image:remove", "Forget images that were added"),
    },
)

DISK = Branch(
    "VMDisks: disks with a life of their own",
    {
        "create": Leaf("cli.disk.create:create", "Create a disk: blank, from an image, a URL, a copy, or for an upload"),
        "list": Leaf("cli.disk.list:list_disks", "List disks"),
        "show": Leaf("cli.disk.list:show", "Show one disk: where it is, where its content came from"),
        "upload": Leaf("cli.disk.upload:upload", "Send a local qcow2, raw or ISO file into a disk that waits for it"),
        "clone": Leaf("cli.disk.clone:clone", "Copy a disk whose VM is stopped"),
        "grow": Leaf("cli.disk.change:grow", "Make a disk larger"),
        "delete": Leaf("cli.disk.change:delete", "Delete disks and their volumes"),
        "leftovers": Leaf("cli.disk.leftovers:leftovers", "List volumes on hosts that belong to nothing any more"),
    },
)

SANDBOX = Branch(
    "A simulated fleet: every command works with it, without a GPU, libvirt or root",
    {
        "create": Leaf("cli.sandbox.create:create", "Make a simulated fleet: zone, rack or l40s"),
        "show": Leaf("cli.sandbox.show:show", "Show its hosts as they really are, and what is wrong"),
        "break": Leaf("cli.sandbox.breaking:break_", "Let something go wrong: a host dies, a GPU falls off its bus, …"),
        "mend": Leaf("cli.sandbox.breaking:mend", "Make good what went wrong, and watch the recovery"),
        "delete": Leaf("cli.sandbox.delete:delete", "Delete it: VMs, disks, hosts, files"),
    },
)

ROOT = Branch(
    "Turn the GPUs of a fleet into GPU virtual machines that have proven their GPUs.\n\n"
    "Data goes to stdout, talk to stderr. Exit codes: docs/reference/exit-codes.md.\n\n"
    "On a Kubernetes cluster: `hikube --store kubernetes [--kubeconfig FILE] [--context NAME] COMMAND …`; "
    "HIKUBE_STORE=kubernetes says so for every command.",
    {
        "apply": Leaf("cli.resources.apply:apply", "Create or change what YAML files describe"),
        "validate": Leaf("cli.resources.validate:validate", "Check YAML files; report every mistake with its line"),
        "get": Leaf("cli.resources.get:get", "List resources of a kind"),
        "describe": Leaf("cli.resources.describe:describe", "Show one resource with its conditions and events"),
        "delete": Leaf("cli.resources.delete:delete", "Delete resources by name or by file"),
        "wait": Leaf("cli.resources.wait:wait", "Wait for a condition or for deletion"),
        "events": Leaf("cli.resources.events:events", "Show what happened, oldest first"),
        "explain": Leaf("cli.resources.explain:explain", "Say why a VM is where it is, or why it is nowhere"),
        "gpu": GPU,
        "host": HOST,
        "image": IMAGE,
        "disk": DISK,
        "store": Branch(
            "The store of this user",
            {"rotate-key": Leaf("cli.store.rotate_key:rotate_key", "Seal every Secret anew with another key")},
        ),
        "migrate": Leaf("cli.migrate:migrate", "Move every object to another store, and back"),
        "controller": Leaf("cli.controller:controller", "Run the control loop until stopped"),
        "sandbox": SANDBOX,
        "lab": Leaf("cli.lab:app", "A GPU host in a box, for whoever has no GPU"),
        "completion": Leaf("cli.completion:completion", "Print the completion script of a shell"),
        "version": Leaf("cli.version:version", "Print versions"),
    },
)
