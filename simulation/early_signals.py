"""Import this first in a program: what asks it to end before it handles signals itself ends it without a traceback.

Until then there is nothing to finish and nothing to clean up. The same holds between its last line and the end of the
process, when Python's own handler would let Ctrl-C interrupt whatever the interpreter is putting away. The last of that
runs no handler any more, and takes seconds on a busy machine, so there the kernel ends the process.
"""

import atexit
import os
import signal


def _end(number: int, _: object) -> None:
    os._exit(128 + number)  # as shells have it: 130, 143


for _number, _usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
    if signal.getsignal(_number) is _usual:  # else whoever started the process wants it otherwise, as shells may
        signal.signal(_number, _end)


def _leave_it_to_the_kernel() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is _end:
            signal.signal(number, signal.SIG_DFL)


atexit.register(_leave_it_to_the_kernel)  # first, so that it is called last
