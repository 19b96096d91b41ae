"""What may be a Cloud ID and an installation's password."""

import pytest

from charging_manager.cloud.names import check_new_installation, readings_of
from charging_manager.http.routes import Problem

GOOD_PASSWORD = "twelve chars"


@pytest.mark.parametrize("name", ["abc", "Garage-3_west.2", "x" * 64, "testinstallation", "garage-building2"])
def test_a_cloud_id_of_three_to_sixty_four_plain_characters_is_taken(name: str) -> None:
    check_new_installation(name, GOOD_PASSWORD)


@pytest.mark.parametrize("name", ["", "ab", "x" * 65, "with space", "umläut", "semi;colon", "new\nline", "abc\n"])
def test_a_bad_cloud_id_is_refused_and_its_field_named(name: str) -> None:
    with pytest.raises(Problem) as caught:
        check_new_installation(name, GOOD_PASSWORD)
    assert (caught.value.status, caught.value.code, caught.value.where) == (422, "bad-cloud-id", "cloud_id")


@pytest.mark.parametrize("name", ["0123-4567-89AB-CDEF", "zzzz-zzzz-zzzz-zzzz"])
def test_a_name_of_serial_number_form_belongs_to_its_key_alone(name: str) -> None:
    with pytest.raises(Problem) as caught:
        check_new_installation(name, GOOD_PASSWORD)
    assert (caught.value.status, caught.value.code, caught.value.where) == (422, "cloud-id-is-serial", "cloud_id")


@pytest.mark.parametrize("password", ["x" * 11, "", "y" * 129, "tab\tinside the password"])
def test_a_bad_password_is_refused_and_its_field_named(password: str) -> None:
    with pytest.raises(Problem) as caught:
        check_new_installation("garage", password)
    assert (caught.value.status, caught.value.where) == (422, "password")


@pytest.mark.parametrize("password", ["x" * 12, "y" * 128, "pässwörter dürfen"])
def test_twelve_to_one_hundred_and_twenty_eight_characters_are_a_password(password: str) -> None:
    check_new_installation("garage", password)


def test_a_serial_number_may_be_typed_without_its_hyphens() -> None:
    assert list(readings_of(" 0123456789abcdef ")) == ["0123456789abcdef", "0123-4567-89ab-cdef"]
    assert list(readings_of("garage")) == ["garage"]
    assert list(readings_of("testinstallation")) == ["testinstallation"]
