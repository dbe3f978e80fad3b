"""Programmes of cvxpy: written once as the paper has them, compiled once, solved many times, every answer certified."""

from gridlab.programme.session import MOST_NODES, SOLVERS, TOLERANCE, Answer, Heuristic, Programme, Session, Solvers

__all__ = ["MOST_NODES", "SOLVERS", "TOLERANCE", "Answer", "Heuristic", "Programme", "Session", "Solvers"]
