# step 2: models
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

import numpy as np
import pandas as pd

from .generate import FEATURES


def fit_regressor(tables, params, random_state):
    forest = RandomForestRegressor(
        n_estimators=params["forest"]["trees"],
        min_samples_leaf=params["forest"]["leaf"],
        max_features=params["forest"]["max_features"],
        random_state=random_state,
        n_jobs=1,
    )
    return forest.fit(tables["train"][FEATURES], tables["train"]["y"])


def fit_scale(model, tables, params, random_state):
    """Second forest, for the size of the residuals."""
    rows = tables["train"]
    forest = RandomForestRegressor(
        n_estimators=params["forest"]["trees"],
        min_samples_leaf=params["scale"]["leaf"],
        random_state=random_state,
        n_jobs=1,
    )
    return forest.fit(rows[FEATURES], np.abs(rows["y"] - model.predict(rows[FEATURES])))


def scale_of(forest, rows, floor):
    """Predicted size of a residual, never below a floor."""
    return np.maximum(forest.predict(rows[FEATURES]), floor)


def fit_density_ratio(tables, params):
    """Classifier of calibration rows against unlabelled shifted rows; its odds are the weights."""
    rows = pd.concat([tables["calibration"][FEATURES], tables["unlabelled"][FEATURES]])
    origin = np.r_[np.zeros(len(tables["calibration"])), np.ones(len(tables["unlabelled"]))]
    model = make_pipeline(
        StandardScaler(),
        PolynomialFeatures(degree=params["ratio"]["degree"], include_bias=False),
        LogisticRegression(C=params["ratio"]["C"], max_iter=500),
    )
    return model.fit(rows, origin)


def weights(model, rows, n_source, n_target):
    """Density of the shifted population over that of the calibration rows."""
    p = model.predict_proba(rows[FEATURES])[:, 1]
    return p / (1 - p) * n_source / n_target
