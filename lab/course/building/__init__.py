"""The builder: sources in percent format become notebooks of students, solutions and slides."""

from lab.course.building.assembling import assemble
from lab.course.building.percent import Cell, read_source
from lab.course.building.releasing import Release, build, write

__all__ = ["Cell", "Release", "assemble", "build", "read_source", "write"]
