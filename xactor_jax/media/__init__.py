"""Reading and writing pictures, sound and video; finding, following and cropping faces."""
