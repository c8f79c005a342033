from replication.train import devices

devices.set_up(threads=1, seed=0)  # before the first tensor: TensorFlow's threads cannot be changed later
