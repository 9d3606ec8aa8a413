#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Seeded generator of phone screens and of dialogues in the shape of the Open-AutoGLM client.

Everything comes from one integer: sample(seed) gives the same messages, the same picture and the same
answer on every machine. Training uses seeds below HELD_OUT, evaluation uses seeds from HELD_OUT up, and
the names in HELD_OUT_APPS never occur in training.

    generate.py screen KIND SEED WIDTH HEIGHT OUT.png     draw one screen
    generate.py show SEED                                 print one dialogue
"""

import colorsys
import json
import random
import sys

from PIL import Image, ImageDraw

HELD_OUT = 1_000_000_000

KINDS = ["home", "settings", "chat", "dialog", "login", "video", "map", "gallery", "article", "calendar"]


# ---------------------------------------------------------------------------------------------------
# Screens. Text is drawn as bars, so no font file can change a picture. Colours are drawn from one
# distribution for all kinds: only the layout tells them apart.


class Brush:
    """Draws in units of 1/100 of the width, so that a screen looks the same at every size."""

    def __init__(self, rng, width, height):
        self.rng, self.w, self.h = rng, width, height
        self.u = width / 100.0
        self.tall = height / self.u
        dark = rng.random() < 0.4
        hue = rng.random()
        self.bg = self.hsv(hue, rng.uniform(0, 0.25), rng.uniform(0.05, 0.25) if dark else rng.uniform(0.85, 1))
        self.panel = self.hsv(hue, rng.uniform(0, 0.3), rng.uniform(0.25, 0.4) if dark else rng.uniform(0.7, 0.84))
        self.ink = self.hsv(hue, 0.1, rng.uniform(0.75, 1) if dark else rng.uniform(0, 0.3))
        self.faint = self.hsv(hue, 0.1, rng.uniform(0.5, 0.6) if dark else rng.uniform(0.45, 0.65))
        self.accent = self.loud()
        self.img = Image.new("RGB", (width, height), self.bg)
        self.d = ImageDraw.Draw(self.img)

    @staticmethod
    def hsv(h, s, v):
        return tuple(int(255 * c) for c in colorsys.hsv_to_rgb(h % 1.0, s, v))

    def loud(self):
        return self.hsv(self.rng.random(), self.rng.uniform(0.5, 1), self.rng.uniform(0.5, 1))

    def box(self, x, y, w, h, fill, r=0.0, line=None):
        u = self.u
        p = [x * u, y * u, max((x + w) * u, x * u + 1), max((y + h) * u, y * u + 1)]
        if r:
            self.d.rounded_rectangle(p, radius=r * u, fill=fill, outline=line, width=max(1, int(u * 0.6)))
        else:
            self.d.rectangle(p, fill=fill, outline=line, width=max(1, int(u * 0.6)))

    def disc(self, x, y, r, fill):
        u = self.u
        self.d.ellipse([(x - r) * u, (y - r) * u, (x + r) * u, (y + r) * u], fill=fill)

    def text(self, x, y, w, size=2.0, fill=None):
        """One line of words: bars with gaps."""
        fill = fill or self.ink
        end = x + w
        while x < end - 1:
            n = min(self.rng.uniform(2, 9), end - x)
            self.box(x, y, n, size, fill)
            x += n + 1.2

    def picture(self, x, y, w, h):
        a, b = self.loud(), self.loud()
        steps = 6
        for i in range(steps):
            c = tuple(int(p + (q - p) * i / (steps - 1)) for p, q in zip(a, b))
            self.box(x, y + h * i / steps, w, h / steps, c)
        if self.rng.random() < 0.6:
            self.disc(x + w * self.rng.uniform(0.25, 0.75), y + h * self.rng.uniform(0.3, 0.7), min(w, h) * 0.18, self.loud())

    def bars(self, title=True):
        """Status bar, perhaps a title bar; returns the free part (top, bottom)."""
        self.text(4, 2, self.rng.uniform(8, 16), 2)
        self.box(88, 2, 8, 2.4, self.ink)
        top = 7.0
        if title and self.rng.random() < 0.6:
            if self.rng.random() < 0.5:
                self.box(0, 6, 100, 12, self.rng.choice([self.accent, self.panel]))
            self.text(self.rng.choice([6, 16, 36]), 10.5, self.rng.uniform(18, 34), 3.4)
            top = 20.0
        bottom = self.tall
        if self.rng.random() < 0.5:
            bottom -= 5
            self.box(35, bottom + 2, 30, 1.2, self.faint)
        return top, bottom


def home(b):
    top, bottom = b.bars(title=False)
    if b.rng.random() < 0.5:
        b.picture(0, 0, 100, b.tall)
        b.box(88, 2, 8, 2.4, b.ink)
    cols = b.rng.choice([4, 4, 4, 5])
    cell = 100 / cols
    size = cell * b.rng.uniform(0.52, 0.64)
    radius = size * b.rng.uniform(0.2, 0.5)
    y = top + b.rng.uniform(4, 36)
    end = bottom - cell * 1.3
    missing = b.rng.uniform(0, 0.25)
    while y + cell * 1.15 < end:
        for c in range(cols):
            if b.rng.random() >= missing:
                x = c * cell + (cell - size) / 2
                b.box(x, y, size, size, b.loud(), radius)
                b.box(x + size * 0.15, y + size + 2, size * 0.7, 1.6, b.ink)
        y += cell * 1.25
    if b.rng.random() < 0.7:
        b.box(3, end, 94, cell * 0.95, b.panel, 5)
    for c in range(cols):
        b.box(c * cell + (cell - size) / 2, end + cell * 0.12, size, size, b.loud(), radius)


def settings(b):
    top, bottom = b.bars()
    row = b.rng.uniform(13, 19)
    y = top + b.rng.uniform(0, 6)
    icon = b.rng.random() < 0.7
    while y + row < bottom:
        x = 6
        if icon:
            b.disc(x + 4, y + row / 2, 3.6, b.loud())
            x += 13
        b.text(x, y + row * 0.3, b.rng.uniform(20, 36), 2.6)
        if b.rng.random() < 0.4:
            b.text(x, y + row * 0.62, b.rng.uniform(20, 40), 1.6, b.faint)
        if b.rng.random() < 0.6:
            on = b.rng.random() < 0.5
            b.box(82, y + row / 2 - 3.2, 12, 6.4, b.accent if on else b.faint, 3.2)
            b.disc(91 if on else 85, y + row / 2, 2.6, b.bg)
        else:
            b.d.line([91 * b.u, (y + row / 2 - 2) * b.u, 93 * b.u, (y + row / 2) * b.u, 91 * b.u, (y + row / 2 + 2) * b.u],
                     fill=b.faint, width=max(1, int(b.u)))
        b.box(6, y + row, 88, 0.5, b.panel)
        y += row


def chat(b):
    top, bottom = b.bars()
    foot = 13
    y = top + b.rng.uniform(1, 8)
    mine = b.rng.random() < 0.5
    while True:
        lines = b.rng.randint(1, 3)
        w = b.rng.uniform(26, 62) if lines == 1 else b.rng.uniform(46, 66)
        h = 5 + 4 * lines
        if y + h > bottom - foot - 2:
            break
        x = 88 - w if mine else 12
        b.disc(94 if mine else 6, y + 4, 3.6, b.loud())
        b.box(x, y, w, h, b.accent if mine else b.panel, 4)
        for i in range(lines):
            b.text(x + 4, y + 3.2 + 4 * i, (w - 8) * (1 if i < lines - 1 else b.rng.uniform(0.4, 1)), 1.8)
        y += h + b.rng.uniform(3, 6)
        if b.rng.random() < 0.65:
            mine = not mine
    b.box(0, bottom - foot, 100, foot, b.panel)
    b.box(10, bottom - foot + 3, 70, 7, b.bg, 3.5)
    b.disc(90, bottom - foot + 6.5, 3.6, b.accent)


def dialog(b):
    under = b.rng.choice([k for k in KINDS if k != "dialog"])
    DRAW[under](b)
    b.img.paste(Image.blend(b.img, Image.new("RGB", b.img.size, (0, 0, 0)), b.rng.uniform(0.45, 0.65)))
    w, h = b.rng.uniform(66, 84), b.rng.uniform(36, 60)
    x, y = (100 - w) / 2, (b.tall - h) * b.rng.uniform(0.35, 0.65)
    light = b.rng.random() < 0.7
    ground = b.hsv(b.rng.random(), 0.06, b.rng.uniform(0.88, 1) if light else b.rng.uniform(0.2, 0.3))
    ink = (30, 30, 30) if light else (225, 225, 225)
    b.box(x, y, w, h, ground, 4)
    b.text(x + 6, y + 6, w * 0.5, 3.4, ink)
    for i in range(int((h - 28) / 5) + 1):
        b.text(x + 6, y + 14 + 5 * i, w - 12, 1.8, ink)
    if b.rng.random() < 0.5:
        b.box(x + 5, y + h - 12, w / 2 - 8, 8, b.faint, 2)
        b.box(x + w / 2 + 3, y + h - 12, w / 2 - 8, 8, b.accent, 2)
    else:
        b.box(x + w - 44, y + h - 9, 16, 3, b.accent)
        b.box(x + w - 22, y + h - 9, 16, 3, b.accent)


def login(b):
    top, bottom = b.bars(title=b.rng.random() < 0.5)
    y = top + b.rng.uniform(8, 24)
    r = b.rng.uniform(8, 13)
    if b.rng.random() < 0.5:
        b.disc(50, y + r, r, b.accent)
    else:
        b.box(50 - r, y, 2 * r, 2 * r, b.accent, 4)
    y += 2 * r + 5
    b.text(34, y, 32, 3)
    y += 10
    form = b.rng.random() < 0.5
    for _ in range(b.rng.choice([2, 2, 3])):
        if form:
            b.box(10, y, 80, 11, b.panel, 3)
        else:
            b.box(10, y, 80, 11, b.bg, 2, b.faint)
        b.text(14, y + 4.5, b.rng.uniform(16, 30), 2, b.faint)
        y += 15
    y += b.rng.uniform(0, 5)
    b.box(10, y, 80, 11, b.loud(), b.rng.choice([2, 5.5]))
    b.text(40, y + 4.3, 20, 2.4, b.bg)
    b.text(b.rng.choice([12, 36]), y + 16, 28, 1.6, b.faint)


def video(b):
    top, bottom = b.bars(title=False)
    full = b.rng.random() < 0.3
    h = b.tall * 0.55 if full else b.rng.uniform(50, 64)
    y = (b.tall - h) * 0.4 if full else top
    b.picture(0, y, 100, h)
    cx, cy, s, u = 50, y + h / 2, b.rng.uniform(7, 11), b.u
    b.disc(cx, cy, s, (20, 20, 20))
    b.d.polygon([((cx - s * 0.35) * u, (cy - s * 0.5) * u), ((cx - s * 0.35) * u, (cy + s * 0.5) * u), ((cx + s * 0.6) * u, cy * u)],
                fill=(245, 245, 245))
    at = b.rng.uniform(15, 80)
    b.box(4, y + h - 5, 92, 1.4, (200, 200, 200))
    b.box(4, y + h - 5, at, 1.4, b.accent)
    b.disc(4 + at, y + h - 4.3, 2, b.accent)
    if not full:
        y += h + 5
        b.text(5, y, 70, 3)
        b.text(5, y + 6, 40, 1.8, b.faint)
        y += 14
        while y + 19 < bottom:
            b.picture(5, y, 32, 17)
            b.text(41, y + 2, 48, 2.2)
            b.text(41, y + 7, 30, 1.6, b.faint)
            y += 21


def map_(b):
    b.img.paste(b.panel, [0, 0, b.w, b.h])
    u = b.u
    for _ in range(b.rng.randint(1, 3)):
        x, y, r = b.rng.uniform(0, 100), b.rng.uniform(0, b.tall), b.rng.uniform(12, 34)
        b.d.polygon([((x + r * b.rng.uniform(0.6, 1) * dx) * u, (y + r * b.rng.uniform(0.6, 1) * dy) * u)
                     for dx, dy in [(-1, -0.4), (-0.3, -1), (0.8, -0.7), (1, 0.4), (0.2, 1), (-0.8, 0.7)]], fill=b.loud())
    tilt = b.rng.uniform(-0.35, 0.35)
    for i in range(b.rng.randint(3, 5)):
        y = b.tall * (i + b.rng.uniform(0.2, 0.8)) / 4.5
        b.d.line([0, y * u, 100 * u, (y + 100 * tilt) * u], fill=b.bg, width=max(1, int(b.rng.uniform(1.4, 3.4) * u)))
    for i in range(b.rng.randint(2, 4)):
        x = 100 * (i + b.rng.uniform(0.1, 0.9)) / 3.5
        b.d.line([x * u, 0, (x - b.tall * tilt) * u, b.tall * u], fill=b.bg, width=max(1, int(b.rng.uniform(1.4, 3.4) * u)))
    route = [(b.rng.uniform(15, 85), b.tall * t) for t in (0.3, 0.45, 0.6, 0.75)]
    if b.rng.random() < 0.6:
        b.d.line([(x * u, y * u) for x, y in route], fill=b.accent, width=max(2, int(2 * u)), joint="curve")
    x, y = route[0]
    b.disc(x, y - 5, 4.4, b.loud())
    b.d.polygon([((x - 3.6) * u, (y - 3) * u), ((x + 3.6) * u, (y - 3) * u), (x * u, (y + 4) * u)], fill=b.accent)
    if b.rng.random() < 0.75:
        b.box(5, 7, 90, 11, b.bg, 5.5)
        b.text(12, 11.4, 40, 2.2, b.faint)
    if b.rng.random() < 0.5:
        b.disc(90, b.tall - 24, 5.5, b.bg)
    if b.rng.random() < 0.35:
        b.box(0, b.tall - 16, 100, 16, b.bg, 4)
        b.text(8, b.tall - 11, 50, 2.6)


def gallery(b):
    top, bottom = b.bars()
    cols = b.rng.choice([2, 3, 3, 4])
    gap = b.rng.uniform(0.6, 1.8)
    side = (100 - gap * (cols + 1)) / cols
    y = top
    if b.rng.random() < 0.4:
        b.text(5, y + 1, 26, 2.4)
        y += 7
    while y < bottom:
        for c in range(cols):
            b.picture(gap + c * (side + gap), y, side, min(side, bottom - y))
        y += side + gap


def article(b):
    top, bottom = b.bars()
    y = top + b.rng.uniform(1, 5)
    margin = b.rng.uniform(5, 9)
    for _ in range(b.rng.randint(1, 2)):
        b.text(margin, y, b.rng.uniform(56, 100 - 2 * margin), 4.2)
        y += 7
    b.text(margin, y, 30, 1.6, b.faint)
    y += 6
    shown = b.rng.random() < 0.5
    while y < bottom - 4:
        n = b.rng.randint(4, 8)
        for i in range(n):
            if y > bottom - 4:
                break
            b.text(margin, y, (100 - 2 * margin) * (b.rng.uniform(0.3, 0.8) if i == n - 1 else 1), 1.9)
            y += 4.4
        y += 4
        if shown and y + 40 < bottom:
            b.picture(margin, y, 100 - 2 * margin, 32)
            y += 37
            shown = False


def calendar(b):
    top, bottom = b.bars()
    y = top + b.rng.uniform(1, 10)
    b.text(34, y, 32, 3.6)
    b.disc(10, y + 1.6, 2, b.faint)
    b.disc(90, y + 1.6, 2, b.faint)
    y += 9
    cell = 13.2
    for c in range(7):
        b.box(4 + c * cell + 4, y, 5, 1.6, b.faint)
    y += 5
    first, days, today = b.rng.randint(0, 6), b.rng.randint(28, 31), b.rng.randint(1, 28)
    step = b.rng.uniform(11, 15)
    for day in range(1, days + 1):
        row, c = divmod(first + day - 1, 7)
        x, yy = 4 + c * cell + cell / 2, y + row * step + step / 2
        if day == today:
            b.disc(x, yy, 5, b.accent)
        for i in range(1 if day < 10 else 2):
            b.box(x - (1 if day < 10 else 2.4) + 2.7 * i, yy - 1.7, 2, 3.4, b.ink)
        if b.rng.random() < 0.15:
            b.disc(x, yy + 4, 0.9, b.accent)
    y += 6 * step + 4
    while b.rng.random() < 0.8 and y + 12 < bottom:
        b.box(6, y, 1.6, 9, b.loud())
        b.text(11, y + 1.5, b.rng.uniform(30, 60), 2.2)
        b.text(11, y + 6, 22, 1.6, b.faint)
        y += 14


DRAW = dict(home=home, settings=settings, chat=chat, dialog=dialog, login=login, video=video, map=map_,
            gallery=gallery, article=article, calendar=calendar)

COLOURS = {"red": (220, 30, 30), "green": (30, 170, 60), "blue": (40, 80, 230), "orange": (250, 140, 20)}


def draw_screen(kind, seed, width, height, button=None):
    """The picture of one screen. button = (colour name, x, y): a button centred at x, y in 0..999."""
    rng = random.Random(f"screen {kind} {seed}")
    b = Brush(rng, width, height)
    DRAW[kind](b)
    if button:
        name, x, y = button
        cx, cy = x / 1000 * 100, y / 1000 * b.tall
        b.box(cx - 13, cy - 6, 26, 12, COLOURS[name], 3, (250, 250, 250))
    return b.img


def phone_size(rng):
    """Width and height of a portrait screen, small enough to draw quickly."""
    ratio = rng.choice([16 / 9, 2.0, 19.5 / 9, 20 / 9, 20 / 9, 21 / 9, 1.6, 4 / 3, rng.uniform(1.33, 2.35)])
    width = rng.randint(168, 400)
    return width, round(width * ratio)


def blank(width, height, grey=127):
    return Image.new("RGB", (width, height), (grey, grey, grey))


# ---------------------------------------------------------------------------------------------------
# Dialogues

APPS = ["WeChat", "Settings", "Chrome", "Gmail", "Google Maps", "YouTube", "Spotify", "Telegram", "WhatsApp", "Twitter",
        "TikTok", "Reddit", "Amazon", "Booking.com", "Duolingo", "Clock", "Camera", "Calendar", "Files", "Contacts",
        "Calculator", "Notes", "Photos", "Phone", "Messages", "Weather", "Music", "Markor", "Expedia", "Temu",
        "微信", "支付宝", "淘宝", "抖音", "美团", "京东", "小红书", "哔哩哔哩", "高德地图", "百度地图", "微博", "知乎", "豆瓣",
        "携程", "饿了么", "拼多多", "网易云音乐", "设置", "相机", "日历", "滴滴出行", "QQ音乐"]
HELD_OUT_APPS = ["Signal", "Firefox", "Notion", "Evernote", "Bluecoins", "Health", "Podcasts", "Recorder", "Trip Planner", "Bank"]
WORDS = ("hello world good morning coffee tea music weather today tomorrow train ticket book hotel pizza near me cheap flight news red "
         "blue shoes phone case happy birthday see you soon thank meeting at noon call mom buy milk and bread how are fine yes no ok "
         "where is the station send photo new song best movie running cat dog apple banana paris london tokyo rain sun snow fast slow "
         "hot cold big small open close first last one two three test note list work home school park river lake").split()
WORDS_ZH = ["你好", "早上好", "谢谢", "今天天气", "附近的咖啡", "火车票", "生日快乐", "明天见", "我到了", "电影", "音乐", "北京", "上海", "酒店", "外卖", "再见"]
SYLLABLES = "ba be bo da de do fi fo ga go ka ki ko la le lo ma me mi mo na ne no pa pe po ra re ri ro sa se si so ta te ti to va ve vo za zo".split()

ASK_LAUNCH = ["Open {}", "Launch {}", "Start {}", "Please open {}.", "Open the {} app", "I want to use {}", "Go to {}", "打开{}", "启动{}", "请打开{}",
              "帮我打开{}", "我要用{}", "Open \"{}\"", "打开“{}”"]
ASK_TYPE = ["Type \"{}\"", "Type {}", "Enter \"{}\"", "Enter the text {}", "Write \"{}\" into the field", "Please type {}", "Search for {}", "输入{}", "输入“{}”", "请输入\"{}\"",
            "搜索{}"]
ASK_SAY = ["Say \"{}\"", "Say {}", "Finish with the message \"{}\"", "Answer {}", "Tell me {}", "回答{}", "说“{}”"]
ASK_WAIT = ["Wait {} seconds", "Please wait {} seconds.", "Wait for {} seconds", "Pause for {} s", "等待{}秒", "请等{}秒"]
ASK_BACK = ["Go back", "Press back", "Please go back.", "Back", "Return to the previous screen", "Press the back button", "返回", "返回上一页", "按返回键"]
ASK_HOME = ["Go home", "Press home", "Go to the home screen", "Home", "Please press the home button.", "Show the desktop", "回到桌面", "返回主屏幕", "按主页键"]
ASK_DOWN = ["Scroll down", "Please scroll down.", "Show what is further down", "向下滚动", "往下翻"]
ASK_UP = ["Scroll up", "Please scroll up.", "Show what is further up", "向上滚动", "往上翻"]
ASK_SCREEN = ["Which screen is this?", "What kind of screen is this?", "Name this screen.", "Which kind of screen do you see?", "What is on the screen?",
              "Tell me which screen is shown", "Look at the screenshot and name the screen", "这是什么界面？", "现在是哪个界面", "看截图，说出界面的名字"]
ASK_TAP = ["Tap the {} button", "Press the {} button", "Click on the {} button."]
COLOUR_ZH = {"red": "红色", "green": "绿色", "blue": "蓝色", "orange": "橙色"}

DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
DAYS_ZH = ["星期一", "星期二", "星期三", "星期四", "星期五", "星期六", "星期日"]

SYSTEM_EN = ["You are an agent that operates a phone for the user.",
             "You are a professional phone agent that can fulfill the user's instructions. Given a screenshot at each step, decide on the best action.",
             "Look at the screenshot, think, then answer with exactly one action."]
FORMAT_EN = ["Your output should STRICTLY follow the format:\n<think>{think}</think>\n<answer>{action}</answer>", "Answer as <think>...</think><answer>...</answer>"]
ACTIONS_EN = ["- do(action=\"Launch\", app=\"xxx\"): launch an app.", "- do(action=\"Tap\", element=[x,y]): tap a point, from 0 to 999.",
              "- do(action=\"Type\", text=\"xxx\"): enter text into the focused field.",
              "- do(action=\"Swipe\", start=[x1,y1], end=[x2,y2]): swipe from start to end.", "- do(action=\"Back\"): go to the previous screen.",
              "- do(action=\"Home\"): go to the home screen.", "- do(action=\"Wait\", duration=\"x seconds\"): wait for the page to load.",
              "- finish(message=\"xxx\"): the task is done."]
RULES_EN = ["REMEMBER:", "- Think before you act.", "- Only ONE action per response.", "- Check the current app before each step.",
            "- If the page does not load, wait at most three times.", "- If the app is wrong, go back first.", "- Follow the user's instruction exactly.",
            "- Coordinates start at the top left corner.", "- Never answer without an action.", "- Before you finish, check that the task is complete.",
            "- If there is a popup, close it.", "- If you cannot find the item, scroll to look for it."]
SYSTEM_ZH = ["你是一个手机操作助手，可以根据截图一步一步完成用户的任务。", "你是一个智能体分析专家，可以根据操作历史和当前状态图执行一系列操作来完成任务。"]
FORMAT_ZH = ["你必须严格按照要求输出以下格式：\n<think>{think}</think>\n<answer>{action}</answer>", "输出格式：<think>{think}</think><answer>{action}</answer>"]
ACTIONS_ZH = ["- do(action=\"Launch\", app=\"xxx\") 启动目标应用。", "- do(action=\"Tap\", element=[x,y]) 点击屏幕上的点，坐标从0到999。",
              "- do(action=\"Type\", text=\"xxx\") 在输入框中输入文本。", "- do(action=\"Swipe\", start=[x1,y1], end=[x2,y2]) 滑动屏幕。",
              "- do(action=\"Back\") 返回上一个界面。", "- do(action=\"Home\") 回到系统桌面。", "- do(action=\"Wait\", duration=\"x seconds\") 等待页面加载。",
              "- finish(message=\"xxx\") 结束任务。"]
RULES_ZH = ["必须遵循的规则：", "1. 在执行任何操作前，先检查当前应用是否是目标应用。", "2. 如果进入了无关页面，先返回。", "3. 如果页面没有加载，最多等待三次。",
            "4. 如果找不到目标，可以尝试滑动查找。", "5. 每一步只输出一个操作。", "6. 在结束任务前，请检查任务是否完成。"]

THINK = {"launch": "Open the app.", "type": "Type the text.", "say": "Answer the user.", "wait": "Wait.", "back": "Go back.", "home": "Go home.",
         "scroll": "Scroll.", "screen": "Look at the screen.", "tap": "Tap the button.", "done": "The task is done."}

TEXT_TASKS = ["launch", "type", "say", "wait", "back", "home", "scroll", "done"]


def invented(rng):
    """A name that no list holds: it can only be copied."""
    word = "".join(rng.choice(SYLLABLES) for _ in range(rng.randint(2, 4)))
    return word.capitalize() if rng.random() < 0.7 else word


def phrase(rng, dense=False):
    """What to type or to say. dense: many words, for the first lessons in copying."""
    if dense:
        return " ".join(rng.choice([invented(rng), rng.choice(WORDS), rng.choice(WORDS_ZH), str(rng.randint(0, 9999))])
                        for _ in range(rng.randint(2, 6)))
    r = rng.random()
    if r < 0.2:
        return rng.choice(WORDS_ZH)
    if r < 0.35:
        return invented(rng)
    if r < 0.45:
        return str(rng.randint(0, 99999))
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, 4)))


def system_prompt(rng, long=False):
    zh = rng.random() < 0.4
    year, month, day, week = rng.randint(2024, 2027), rng.randint(1, 12), rng.randint(1, 28), rng.randint(0, 6)
    if zh:
        lines = [f"今天的日期是: {year}年{month:02d}月{day:02d}日 {DAYS_ZH[week]}"]
        role, form, actions, rules = SYSTEM_ZH, FORMAT_ZH, ACTIONS_ZH, RULES_ZH
    else:
        lines = [f"The current date: {year}-{month:02d}-{day:02d}, {DAYS[week]}"]
        role, form, actions, rules = SYSTEM_EN, FORMAT_EN, ACTIONS_EN, RULES_EN
    lines.append(rng.choice(role))
    if long:
        lines += [rng.choice(form)] + actions + rules + rng.sample(rules, rng.randint(1, len(rules))) + rng.sample(actions, rng.randint(0, 8))
    else:
        if rng.random() < 0.6:
            lines.append(rng.choice(form))
        lines += sorted(rng.sample(actions, rng.choice([0, 2, 3, 4, 8])), key=actions.index)
        lines += sorted(rng.sample(rules, rng.choice([0, 0, 0, 2])), key=rules.index)
    return "\n".join(lines)


def make_task(rng, kind, apps, dense=False):
    """A task of one kind: what the user asks and the action that answers it."""
    if kind == "launch":
        app = invented(rng) if apps is APPS and rng.random() < 0.25 else rng.choice(apps)
        return rng.choice(ASK_LAUNCH).format(app), f"do(action=\"Launch\", app=\"{app}\")"
    if kind == "type":
        text = phrase(rng, dense)
        return rng.choice(ASK_TYPE).format(text), f"do(action=\"Type\", text=\"{text}\")"
    if kind == "say":
        text = phrase(rng, dense)
        return rng.choice(ASK_SAY).format(text), f"finish(message=\"{text}\")"
    if kind == "wait":
        n = rng.randint(1, 20)
        return rng.choice(ASK_WAIT).format(n), f"do(action=\"Wait\", duration=\"{n} seconds\")"
    if kind == "back":
        return rng.choice(ASK_BACK), "do(action=\"Back\")"
    if kind == "home":
        return rng.choice(ASK_HOME), "do(action=\"Home\")"
    if kind == "scroll":
        if rng.random() < 0.5:
            return rng.choice(ASK_DOWN), "do(action=\"Swipe\", start=[500,800], end=[500,200])"
        return rng.choice(ASK_UP), "do(action=\"Swipe\", start=[500,200], end=[500,800])"
    raise ValueError(kind)


def reply(kind, action):
    """The whole text of an answer; the id of </answer> ends it."""
    return f"<think>{THINK[kind]}</think><answer>{action}</answer>"


def history(rng, kind, action):
    """An earlier answer as the client sends it back: with its tags once, or twice if it split at the action."""
    if rng.random() < 0.5:
        return f"<think>{THINK[kind]}</think><answer>{action}</answer>"
    return f"<think><think>{THINK[kind]}</think><answer></think><answer>{action}</answer>"


def screen_info(rng):
    return json.dumps({"current_app": rng.choice(APPS + ["System Home"] * 8)}, ensure_ascii=False)


def sample(seed, task=None, image=None, apps=None, long=False, system=None, bare=False, dense=False):
    """One dialogue.

    task    one of TEXT_TASKS, "screen" or "tap"; None draws one
    image   True, False or None (drawn; "screen" and "tap" always have one)
    system  True, False or None (drawn)
    bare    no screen information and no earlier turn
    dense   see phrase
    Returns a dictionary: task, messages (as the client sends them; an image part is {"type": "image_url"}),
    fmt ("string" or "openai", see flatten), picture (None or the arguments of draw_screen), action, answer.
    """
    rng = random.Random(f"sample {seed}")
    apps = apps or APPS
    if task is None:
        task = rng.choices(["screen", "tap", "launch", "type", "say", "wait", "back", "home", "scroll", "done"],
                           [0.30, 0.03, 0.18, 0.18, 0.09, 0.06, 0.03, 0.03, 0.03, 0.07])[0]
    picture = None
    if task in ("screen", "tap"):
        image = True
    elif image is None:
        image = rng.random() < 0.4
    kind = rng.choice(KINDS)
    button = None
    if task == "tap":
        button = (rng.choice(sorted(COLOURS)), rng.randint(14, 86) * 10, rng.randint(8, 94) * 10)
    if image:
        width, height = phone_size(rng)
        picture = dict(kind=kind, seed=seed, width=width, height=height, button=button)

    messages = []
    if system if system is not None else (long or rng.random() < 0.65):
        messages.append({"role": "system", "content": system_prompt(rng, long)})
    info = screen_info(rng) if rng.random() < 0.7 and not bare else None

    if task == "screen":
        ask, action = rng.choice(ASK_SCREEN), f"finish(message=\"{kind}\")"
    elif task == "tap":
        name = button[0]
        ask = rng.choice(ASK_TAP).format(name) if rng.random() < 0.8 else f"点击{COLOUR_ZH[name]}按钮"
        action = f"do(action=\"Tap\", element=[{button[1]},{button[2]}])"
    elif task == "done":
        first = rng.choice(["launch", "launch", "type", "wait", "back", "home", "scroll"])
        ask, did = make_task(rng, first, apps)
        messages.append({"role": "user", "content": [{"type": "text", "text": f"{ask}\n\n{screen_info(rng)}"}]})
        messages.append({"role": "assistant", "content": history(rng, first, did)})
        ask, info, action = "** Screen Info **", screen_info(rng), "finish(message=\"Done.\")"
    else:
        ask, action = make_task(rng, task, apps, dense)
    if task != "done" and not bare and rng.random() < 0.06:
        old = rng.choice(TEXT_TASKS[:-1])
        old_ask, did = make_task(rng, old, apps)
        messages.append({"role": "user", "content": [{"type": "text", "text": old_ask}]})
        messages.append({"role": "assistant", "content": history(rng, old, did)})
    text = f"{ask}\n\n{info}" if info else ask
    parts = [{"type": "image_url"}] if image else []
    messages.append({"role": "user", "content": parts + [{"type": "text", "text": text}]})
    return dict(seed=seed, task=task, messages=messages, fmt="openai" if rng.random() < 0.2 else "string", picture=picture,
                action=action, answer=reply(task, action))


IMAGE = "<|begin_of_image|><|image|><|end_of_image|>"


def flatten(messages, fmt="string"):
    """Message contents as plain strings, the way a server prepares them for the chat template.

    string: all image placeholders first, then the text parts, joined with newlines.
    openai: the parts in order, nothing between them.
    """
    flat = []
    for m in messages:
        content = m["content"]
        if isinstance(content, list):
            images = [IMAGE for p in content if p["type"] == "image_url"]
            texts = [p["text"] for p in content if p["type"] == "text"]
            if fmt == "string":
                content = "\n".join(images + texts)
            else:
                content = "".join(IMAGE if p["type"] == "image_url" else p["text"] for p in content)
        flat.append({"role": m["role"], "content": content})
    return flat


def render(messages, fmt="string"):
    """The prompt of a conversation: the rules of chat_template.jinja (tokenizer.py compares the two)."""
    out = "[gMASK]<sop>"
    for m in flatten(messages, fmt):
        if m["role"] in ("system", "user", "assistant"):
            out += f"<|{m['role']}|>\n{m['content']}"
    return out + "<|assistant|>\n"


def main():
    if len(sys.argv) == 7 and sys.argv[1] == "screen":
        kind, seed, width, height, out = sys.argv[2:]
        draw_screen(kind, int(seed), int(width), int(height)).save(out, optimize=True)
    elif len(sys.argv) == 3 and sys.argv[1] == "show":
        s = sample(int(sys.argv[2]))
        print(render(s["messages"], s["fmt"]) + s["answer"])
        print(json.dumps({k: s[k] for k in ("task", "fmt", "picture", "action")}, ensure_ascii=False))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
