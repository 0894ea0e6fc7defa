"""The steps of a VMDisk's life; the table is in table.py, what drives it in lifecycle/vm_disks.py."""
