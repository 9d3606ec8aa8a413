"""phone.py - a phone that is not there: its screens are the held-out pictures of the little model, and an action decides which comes next."""
import os

SCREENS = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'little-model', 'screens')
HOME = 'System Home'
# What an app shows when it is opened: the kind of its screen is the name of the picture.
APPS = {HOME: 'home', 'Settings': 'settings', 'WeChat': 'chat', 'Google Maps': 'map', 'YouTube': 'video', 'Calendar': 'calendar', 'Photos': 'gallery'}


class Phone:
    def __init__(self):
        self.app = HOME
        self.typed = []
        self.before = []  # apps to go back to

    @property
    def screen(self):
        """The kind of screen that is shown. An app that is not installed leaves a dialog about it."""
        return APPS.get(self.app, 'dialog')

    def screenshot(self):
        with open(os.path.join(SCREENS, self.screen + '.png'), 'rb') as f:
            return f.read()

    def perform(self, action, app=None, text=None, **more):
        """One action of the model; returns what happened. What a phone cannot do is a ValueError."""
        if action == 'Launch' and app:
            self.before.append(self.app)
            self.app = app
            return f'{app} opens'
        if action == 'Back':
            self.app = self.before.pop() if self.before else HOME
            return f'back to {self.app}'
        if action == 'Home':
            self.before, self.app = [], HOME
            return 'the home screen comes'
        if action == 'Type' and text is not None:
            self.typed.append(text)
            return f'{text!r} is typed'
        if action == 'Wait':
            return 'nothing moves'
        if action == 'Swipe':
            return 'the page scrolls'
        raise ValueError(f'this phone has no {action}({", ".join(sorted(more))})')
