// `import SheafBatchKit` is all that a program needs.
@_exported public import Sheaf
