"""Deep Compression (Han et al. 2015a, 2015b) of Keras models: prune, share weights, quantise, write a file; SVD.

    compress(model, "model.sqnt", bits=6)
    model = load("model.sqnt")

or `python -m squeezenet.deep_compression --help`.

The other functions take and give arrays, by the names of `squeezenet.weights.tensors`.
"""

try:
    from squeezenet.deep_compression.files import Compressed, compress, load, save
    from squeezenet.deep_compression.pruning import prune, prune_below, prune_network
    from squeezenet.deep_compression.quantisation import Quantiser, fit
    from squeezenet.deep_compression.sharing import kmeans, share, share_network
    from squeezenet.deep_compression.svd import factorise
except ImportError as error:
    message = f"Deep Compression needs {error.name or error}: in a clone, pip install '.[deep-compression]'"
    raise ImportError(message) from None

__all__ = [
    "Compressed",
    "Quantiser",
    "compress",
    "factorise",
    "fit",
    "kmeans",
    "load",
    "prune",
    "prune_below",
    "prune_network",
    "save",
    "share",
    "share_network",
]
