"""`python -m course_lib` prints what this machine has and what to do where something is missing."""

from course_lib import runtime

if __name__ == "__main__":
    print(runtime.report())
