"""MedChat: SMS chats, with what hangs on them, out of one sweep of requests."""
