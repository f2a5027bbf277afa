"""Lets SGLang run its plain torch back end on a machine without an accelerator.

SGLang starts its workers as new interpreters, so the changes live in sitecustomize, which each of them
reads; sglang.sh puts this folder on PYTHONPATH. What SGLang would not find here is put in its place:

  torchvision        a stand-in. The registry's build belongs to a CUDA torch; text models do not use it
  get_device         says "cpu" instead of raising: the recorder of experts asks for it
  CUDA host memory   is not registered: the recorder's buffers are plain memory
  torch.cpu          two stream functions that the recorder calls
  vllm._custom_ops   the rotary embedding that SGLang borrows from vLLM off CUDA, written in torch

Routing, scheduling and HTTP stay SGLang's own, which is what the test is about.
"""
import importlib.abc
import importlib.machinery
import sys
import types
from unittest.mock import MagicMock


def use_cpu(module):
    import torch
    module.get_device = lambda *_, **__: "cpu"
    for name, answer in (("is_current_stream_capturing", False), ("empty_cache", None)):
        if not hasattr(torch.cpu, name):
            setattr(torch.cpu, name, lambda answer=answer: answer)


def leave_host_memory(module):
    module._cuda_host_register = lambda *_, **__: None


PATCHES = {"sglang.srt.utils.common": use_cpu, "sglang.srt.mem_cache.pool_host.common": leave_host_memory}


def turn(rows, cos, sin, neox):
    """One rotation; rows [tokens, heads, 2 * half], pairs are halves (neox) or neighbours."""
    import torch
    half = cos.shape[-1]
    if neox:
        a, b = rows[..., :half], rows[..., half:]
        return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)
    a, b = rows[..., 0::2], rows[..., 1::2]
    return torch.stack((a * cos - b * sin, b * cos + a * sin), dim=-1).flatten(-2)


def rotary_embedding(positions, query, key, head_size, cos_sin_cache, is_neox=True, *_, **__):
    """In place, as vLLM's operator: query and key [tokens, heads * head_size]; the cache has cos, then sin."""
    cos, sin = cos_sin_cache[positions.flatten()].float().unsqueeze(1).chunk(2, dim=-1)
    for tensor in (query, key):
        if tensor is not None:
            heads = tensor.view(cos.shape[0], -1, head_size)
            part = heads[..., : 2 * cos.shape[-1]]
            part.copy_(turn(part.float(), cos, sin, is_neox))


class StandIn(importlib.abc.Loader):
    """A module of which every attribute is something that can be called."""

    def create_module(self, spec):
        module = MagicMock(name=spec.name)
        module.__spec__, module.__path__, module.__name__, module.__file__ = spec, [], spec.name, "stand-in"
        return module

    def exec_module(self, module):
        pass


class Borrowed(importlib.abc.Loader):
    """vllm with nothing but that operator."""

    def create_module(self, spec):
        module = types.ModuleType(spec.name)
        module.__path__ = []
        return module

    def exec_module(self, module):
        if module.__name__.endswith("_custom_ops"):
            module.rotary_embedding = rotary_embedding


class Patched(importlib.abc.Loader):
    """The real loader, then the change."""

    def __init__(self, loader, patch):
        self.loader, self.patch = loader, patch

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        self.loader.exec_module(module)
        self.patch(module)

    def __getattr__(self, name):  # inspect asks the loader for the source
        return getattr(self.loader, name)


class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] == "torchvision":
            return importlib.machinery.ModuleSpec(name, StandIn(), is_package=True)
        if name in ("vllm", "vllm._custom_ops"):
            return importlib.machinery.ModuleSpec(name, Borrowed(), is_package=name == "vllm")
        if name in PATCHES:
            spec = importlib.machinery.PathFinder.find_spec(name, path)
            spec.loader = Patched(spec.loader, PATCHES[name])
            return spec
        return None


sys.meta_path.insert(0, Finder())
