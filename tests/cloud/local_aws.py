"""MiniStack, with what it lacks for these tests put in: `aws.py` starts this program."""

import local_alarms
import local_iam
from ministack import app

local_iam.install()
local_alarms.install()
# With TLS it would take port 443 as well where it may.
app._port_is_bindable = lambda *_: False
app.main()
