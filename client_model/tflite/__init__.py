"""The file a phone runs: conversion, what is inside it, its checks, and learning with it."""
