"""A child process that answers line by line."""

import time

from unmask.sandbox.process import Child

SAYS_TWO_THINGS = """
import sys
print('{"first": 1}')
print('{"second": 2}', flush=True)
sys.stdin.read()
"""


def test_leaving_a_child_that_has_more_to_say_takes_no_time():
    with Child(SAYS_TWO_THINGS) as child:
        message = None
        while message is None:
            message = child.next_message()
        assert message.fields == {"first": 1}
        time.sleep(0.2)  # until its second line has come
    assert not child._listener.is_alive()
