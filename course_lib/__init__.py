"""The small library under the notebooks; write `from course_lib import losses, plots`.

Nothing is re-exported. Importing the package only points the caches of Keras and Matplotlib to a
writable folder, which has to happen before either is imported.
"""

from course_lib import runtime as _runtime

_runtime.prepare_environment()
