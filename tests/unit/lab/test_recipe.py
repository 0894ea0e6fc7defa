"""Recipes and the names of what is built from them."""

import re

import pytest

from provisioner.lab.images import base_volume_name
from provisioner.lab.recipe import content_key, read_recipe, recipe_bytes


@pytest.mark.parametrize("name", ["host", "guest"])
def test_a_recipe_is_complete(name):
    recipe = read_recipe(name)
    assert recipe.suite == "trixie"
    assert {"linux-image-amd64", "openssh-server", "busybox-static"} <= set(recipe.packages)
    assert "@INSMOD@" in recipe.init
    assert set(recipe.initramfs_modules) <= set(recipe.modules)
    assert not any(path.startswith("/") for path in (*recipe.files, *recipe.links, *recipe.removed))


def test_equal_recipes_have_equal_keys_and_changed_ones_do_not():
    recipe = recipe_bytes("guest")
    assert content_key(recipe) == content_key(recipe)
    assert content_key(recipe) != content_key(recipe + b"\n")
    assert re.fullmatch("[0-9a-f]{16}", content_key(recipe))


def test_parts_of_a_key_do_not_run_together():
    assert content_key("ab", "c") != content_key("a", "bc")


def test_no_identity_is_in_an_image():
    for name in ("host", "guest"):
        assert b"PRIVATE KEY" not in recipe_bytes(name)
        assert "etc/ssh/ssh_host_*" in read_recipe(name).removed
        assert read_recipe(name).files["etc/machine-id"] == ""


def test_a_guest_can_be_shut_down_by_its_power_button():
    guest = read_recipe("guest")
    assert {"button", "evdev"} <= set(guest.modules)
    assert "systemd-logind.service" not in guest.masked_units
    assert not {"60-input-id", "70-power-switch"} & set(guest.masked_udev_rules)


def test_the_base_volume_is_named_after_its_content():
    assert base_volume_name("0123456789abcdef" * 4) == "hikube-base-0123456789abcdef0123456789abcdef.qcow2"
