"""Reading and writing pictures, sound and video; detecting, tracking and cropping faces."""
