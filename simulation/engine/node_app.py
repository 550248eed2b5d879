"""The ClientApp as Flower starts it, under a SuperNode in a new process for each message: imported quickly.

On Ray the same app stays in a worker (`worker_start`).
"""

from client_model.quiet import native_messages_aside, quick_imports, restore_keras_switch

restore_keras_switch()
with native_messages_aside(), quick_imports():
    from simulation.engine import client_app

app = client_app.app
