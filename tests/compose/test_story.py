"""The story of Podium, told to the mesh in containers: PostgreSQL, TCP, two of every part."""

# The tests themselves; their `mesh` is this folder's.
from tests.mesh.test_story import (
    test_a_cancel_interrupts_the_running_block,
    test_a_code_can_be_pushed_in_while_the_login_waits,
    test_a_download_that_is_not_there_fails,
    test_a_key_used_for_another_request_is_a_conflict,
    test_a_month_of_orders_comes_home,
    test_a_wrong_code_fails_the_login_with_a_reason,
    test_an_element_that_is_not_there_fails_by_name,
    test_an_order_page_that_breaks_fails_in_its_iteration,
    test_bad_definitions_name_the_place,
    test_bad_requests_name_the_field,
    test_the_open_orders_are_looked_into,
    test_what_is_not_there_is_not_found,
)

__all__ = [
    "test_a_cancel_interrupts_the_running_block",
    "test_a_code_can_be_pushed_in_while_the_login_waits",
    "test_a_download_that_is_not_there_fails",
    "test_a_key_used_for_another_request_is_a_conflict",
    "test_a_month_of_orders_comes_home",
    "test_a_wrong_code_fails_the_login_with_a_reason",
    "test_an_element_that_is_not_there_fails_by_name",
    "test_an_order_page_that_breaks_fails_in_its_iteration",
    "test_bad_definitions_name_the_place",
    "test_bad_requests_name_the_field",
    "test_the_open_orders_are_looked_into",
    "test_what_is_not_there_is_not_found",
]
