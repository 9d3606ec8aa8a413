# helm
