"""Shared mathematics: nothing here knows an image file or a detector.

| module | holds |
| --- | --- |
| `grids` | where the samples of one grid lie in another |
| `pyramid` | an image at half, a quarter, ... of its resolution, over its known pixels |
| `sampling` | which positions stand for all |
| `random_features` | rectified random convolutions at several scales |
| `gaussian` | robust Gaussians and principal components |
| `patch_components` | how unusual each patch is among all patches |
| `edges` | positions that see less are compared with their own kind |
| `smoothing` | separable filters over what is known |
| `parallel` | large pieces of work done side by side |
| `lines` | averages along lines |
| `fusion` | one map from several |
| `trend` | what is usual where: a smooth function of the place |
| `energies` | energies of small structures, too high or too low |
| `cores` | distances of patches without a halo |
| `agreement` | how much each of these maps counts |
| `discriminant` | which pixels resemble the finding |
"""
