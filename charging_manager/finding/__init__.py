"""Looking for devices: where it is allowed, in which order and how gently, who answers, and what announces itself.

``ground`` and ``plan`` decide what is asked, ``course`` at which pace (all pure); ``search`` alone opens connections.
"""
