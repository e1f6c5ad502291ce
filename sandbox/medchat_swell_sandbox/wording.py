"""Sample names and texts, including ones that are hard to encode."""

from __future__ import annotations

NAMES: tuple[str | None, ...] = (
    "Jane Smith",
    "José Álvarez-Núñez",
    "Zoë O'Connor",
    "Łukasz Żółć",
    "Nguyễn Thị Ánh",
    "محمد العلي",
    "שרה כהן",
    "山田 太郎",
    "김민지",
    "Ольга Иванова",
    "Anne-Marie d'Aubigné",
    'Robert "Bob" Tables; --',
    "🦷 Dental Fan",
    "Smith, John Jr.",
    "jane doe",
    "X Æ A-12",
    "Te\u0301le\u0301sphore",  # combining accents
    "Jane  Double  Space",
    "",
    None,
)

TEXTS: tuple[str | None, ...] = (
    "Hi! Can I move my appointment to Tuesday?",
    "Reminder: your visit is tomorrow at 9:30 AM. Reply C to confirm.",
    "C",
    "STOP",
    "Yes, that works, thank you 😊",
    "¿Aceptan mi seguro? Gracias, señorita.",
    "Où est le cabinet ? Près de l'église ?",
    "مرحبا، هل الموعد غدا؟",
    "שלום, אני מאחר בעשר דקות",
    "予約を変更できますか。",
    'He said "call me", then hung up.\nSecond line\r\nthird\tline',
    "C:\\scans\\x-ray.png <b>&amp;</b> 100% 'quoted'",
    "👨‍👩‍👧‍👦 family visit 👍🏽",
    "\u202eright to left override\u202c and \u200bzero width",
    "Line separator\u2028and paragraph\u2029inside",
    "Bring your card, ID and the form; it takes 5,000 steps.",
    "null",
    " leading and trailing ",
    "",
    None,
    "Directions: " + "go straight on, then left. " * 12,
)

STREETS: tuple[str, ...] = ("Main St", "Río Grande", "Älvgatan", "Park & 5th", "東通り")

TAGS: tuple[str, ...] = ("new patient", "VIP", "Señor", "recall-6m", "no, thanks")

CHAT_STATUSES: tuple[str, ...] = ("Subscribed", "Active", "Ended")
BOT_STATUSES: tuple[str, ...] = ("Completed", "InProgress", "Failed")
SENT_STATUSES: tuple[str, ...] = ("Queued", "Sent", "Delivered", "Failed")
SWELL_STATUSES: tuple[str, ...] = ("Open", "Close")
