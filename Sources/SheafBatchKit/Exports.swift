// `import SheafBatchKit` brings everything of `import Sheaf`, too.
@_exported public import Sheaf
