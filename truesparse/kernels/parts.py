"""Parts of kernels: functions that are compiled into the kernels that call them, and nowhere else.

Numba optimises every function and makes machine code of it, and then does the same again with each function that calls
it. Of five functions that call one another, the innermost one passes the compiler five times. A part is only translated
for LLVM. The kernel that calls it is then optimised as a whole, and becomes machine code once.
"""

import numba
from numba import types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler

FLAGS = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
"""The compiler's options for all kernels. NumPy's error model: a check for zero before every division would keep loops
from using vector instructions."""


class _Code(JITCodeLibrary):
    """Numba's code of a kernel, optimised once: not each function first, nor all of them at a low level."""

    def _optimize_functions(self, ll_module):
        ll_module.data_layout = self._codegen._data_layout

    def _optimize_final_module(self):
        passes, builder = self._codegen._module_pass_manager()
        passes.run(self._final_module, builder)


class _CodeOfPart(_Code):
    """The code of a part. It is linked into kernels, and has no address of its own."""

    @property
    def codegen(self):
        """Return what Numba asks for when it has compiled a function: where to put its environment."""
        return self

    def set_env(self, name, environment):
        """Leave the environment out: it is for entries from Python, and a part has none."""

    def _optimize_final_module(self):
        pass

    def _finalize_final_module(self):
        self._finalized = True

    def get_pointer_to_function(self, name):
        """Return no address."""
        self._ensure_finalized()
        return 0


class KernelCompiler(Compiler):
    """Numba's compiler with another optimisation."""

    _code: type[_Code] = _Code

    def define_pipelines(self):
        """Return Numba's own pipelines."""
        self.state.library = self._code(self.state.targetctx.codegen(), self.state.func_id.func_qualname)
        self.state.library.enable_object_caching()
        return super().define_pipelines()


class _PartCompiler(KernelCompiler):
    _code = _CodeOfPart


def inner(part):
    """Compile a function into the kernels that call it. Python cannot call it, unless kernels run as Python code."""
    if numba.config.DISABLE_JIT:
        return part
    compiled = numba.njit(part, pipeline_class=_PartCompiler, no_cpython_wrapper=True, **FLAGS)
    template_of = compiled.get_call_template
    # Numba would compile it anew for every constant that it is called with.
    compiled.get_call_template = lambda args, kws: template_of(tuple(map(types.unliteral, args)), kws)
    return compiled
