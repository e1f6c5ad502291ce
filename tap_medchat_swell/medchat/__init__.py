"""MedChat: SMS chats and their messages, memberships and text bot executions."""
