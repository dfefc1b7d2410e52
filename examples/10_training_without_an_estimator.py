"""Train without an estimator
==========================

Write the training that an estimator runs: a source, a recipe, a network and a trainer.

An estimator checks its data and parameters and then does what this example does. `Source` is where the samples come
from. `Recipe` holds all of a training that does not depend on the data. `new_network` makes a network with its first
topology and its first weights, and `Trainer` trains it.

::

    python examples/10_training_without_an_estimator.py
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from truesparse.data import ArraySource
from truesparse.evolution import preset
from truesparse.network.losses import SoftmaxCrossEntropy
from truesparse.training import Recipe, Trainer, new_network
from truesparse.training.inference import forward_all

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split((X / 16).astype(np.float32), y, random_state=0, stratify=y)

# %%
# Train
# -----
# The features have the network's dtype, float32 by default. The targets are class numbers, as the loss takes them.

source = ArraySource(X_train, y_train)
recipe = Recipe(SoftmaxCrossEntropy(), (300, 300), epsilon=5, evolution=preset("cte"), dropout=0.1, n_epochs=30)
network = new_network(recipe, source, n_outputs=10, seed=0)
trainer = Trainer(network, recipe, source, seed=0)
trainer.train()

# %%
# The trainer's state has a record of each epoch.

for record in trainer.state.history[::10]:
    print(f"epoch {record.epoch:<2}  loss {record.train_loss:.3f}  replaced per layer {record.edges_replaced}")

# %%
# Predict
# -------
# The network returns the sums of the output layer, and the loss turns them into probabilities.

z = forward_all(network, ArraySource(X_test))  # (10 classes, n_samples)
probabilities = recipe.loss.predictions(z)
print(f"accuracy {np.mean(probabilities.argmax(axis=0) == y_test):.3f} with {network.n_weights:,} weights")
