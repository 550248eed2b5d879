"""What takes long to import comes when it is used, and then it is the real one."""

import subprocess
import sys


def test_loss_distributions_come_when_they_are_used():
    code = (
        "import sys\n"
        "from server_strategy.privacy.accounting import epsilon_by_rdp, epsilon_if_poisson\n"
        "assert 1 < epsilon_by_rdp(0.5, 1e-6) < 10 and 'scipy.stats' not in sys.modules\n"
        "found = epsilon_if_poisson(1.0, 0.01, 10, 1e-6)\n"
        "import dp_accounting.pld\n"
        "assert 0 < found < 10 and dp_accounting.pld.__file__ and 'scipy.stats' in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
