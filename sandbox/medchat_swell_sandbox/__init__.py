"""MedChat's SMS chats API and Swell CX's messages API as a local server."""

from medchat_swell_sandbox.credentials import Credentials
from medchat_swell_sandbox.dataset import Dataset
from medchat_swell_sandbox.faults import Fault
from medchat_swell_sandbox.quirks import Quirks
from medchat_swell_sandbox.request_log import RequestRecord
from medchat_swell_sandbox.sandbox import Sandbox

__all__ = ["Credentials", "Dataset", "Fault", "Quirks", "RequestRecord", "Sandbox"]
