# SPDX-License-Identifier: GPL-3.0-or-later
"""Which variables of its environment Blender hands on to the engine: those that it needs, by name, and no secret.

Whoever starts Blender from a shell may have keys and passwords in there. The engine reads files of strangers; what it
does not have, no fault of its own can give away.
"""

import re
from collections.abc import Mapping

NAMES = frozenset(
    {
        # Where programs, the user's folders and temporary files are, on Unix and on Windows.
        *("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TMP", "TEMP", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"),
        *(
            "SYSTEMROOT",
            "SYSTEMDRIVE",
            "WINDIR",
            "COMSPEC",
            "PATHEXT",
            "USERNAME",
            "USERPROFILE",
            "HOMEDRIVE",
            "HOMEPATH",
            "APPDATA",
            "LOCALAPPDATA",
        ),
        *(
            "PROGRAMDATA",
            "ALLUSERSPROFILE",
            "PROGRAMFILES",
            "PROGRAMFILES(X86)",
            "COMMONPROGRAMFILES",
            "NUMBER_OF_PROCESSORS",
            "OS",
        ),
        # Libraries of a graphics card that are in no usual place.
        *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH"),
        # Language, time zone, and certificates for the download of weights.
        *("LANG", "LANGUAGE", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "NO_PROXY"),
    }
)
BEGINNINGS = (
    *("LC_", "PROCESSOR_", "STYLEGAN_REACTIVE_"),
    *("OMP_", "KMP_", "MKL_", "OPENBLAS_", "GOTO_", "BLIS_", "VECLIB_", "NUMEXPR_", "DNNL_", "ONEDNN_"),
    *("CUDA_", "CUDNN_", "CUBLAS_", "NVIDIA_", "NCCL_", "TF32_"),
    *("HIP_", "HSA_", "ROCR_", "ROCM_", "AMD_", "GPU_", "MIOPEN_", "ROCBLAS_", "HIPBLASLT_"),
    *("PYTORCH_", "TORCH_", "ATEN_", "MTL_", "METAL_"),
)
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
SECRET = re.compile(r"TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE|AUTH|COOKIE|SESSION")


def needed(variables: Mapping[str, str]) -> dict[str, str]:
    """Those of some variables that the engine is given.

    A name that sounds like a secret is left out whatever it begins with, and a proxy whose address has a password.
    """
    return {name: value for name, value in variables.items() if _is_needed(name.upper(), value)}


def _is_needed(name: str, value: str) -> bool:
    if SECRET.search(name):
        return False
    return name in NAMES or name.startswith(BEGINNINGS) or (name in PROXIES and "@" not in value)
