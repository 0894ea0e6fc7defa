"""The crash matrix: what is there after the controller died at any step, on real libvirt and in its twin, by the same eyes."""
